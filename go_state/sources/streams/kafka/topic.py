"""What is asked about a topic: which one it is, its partitions and their offsets, and who is in the group that reads it."""

from __future__ import annotations

import struct
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from go_state.core.errors import SourceError, SourceUnavailable
from go_state.sources.streams.kafka.client import (
    ClientErrors,
    ClientLog,
    Settings,
    failure_of,
    given_up,
    log,
    refused,
    without_secrets,
)

if TYPE_CHECKING:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

Answer = TypeVar("Answer")
Asked: TypeAlias = "Future[Any]"  # Any: the client exports no name for its description of a topic

_NO_ID = "AAAAAAAAAAAAAAAAAAAAAA"  # of brokers older than 2.8
_SECONDS = 20.0  # that brokers have to answer, when there is nothing to do without an answer
_LATE = 5.0  # seconds after which the client has given up by itself, as a rule
_AWAY = (
    90.0  # seconds that a broker may be away when partitions begin: less than the group waits for a member that does not poll
)
_PAUSE = 0.1  # seconds before a broker is asked again, such as one that does not lead its partitions yet
_EVERY = 2.0  # seconds between two questions whether the topic is the same; each takes a broker a millisecond
_CONFIRMED_IN = 1.0  # seconds that a save waits for an answer: a broker that is away has made no topic anew
_SAY_AFTER = 10.0  # seconds without an answer, after which the log says so


class Described(NamedTuple):
    """A topic as it is now: another of the same name has another id; empty if brokers do not tell."""

    id: str
    partitions: tuple[int, ...]


class Topic:
    """A topic on some servers. Its client has a thread of its own, and waits for none of the one that reads."""

    def __init__(self, name: str, servers: str, settings: Settings) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        self.name = name
        self._servers = servers
        self._settings = settings
        self._errors = ClientErrors()
        try:
            logger = ClientLog("CONFWARN")  # settings of consumers are not for this client
            conf: Any = {
                **settings,
                "logger": logger,
                "error_cb": self._errors,
            }  # Any: the client declares that it takes no functions
            self._admin: AdminClient = AdminClient(conf)
        except KafkaException as error:
            raise refused(error, settings) from None

    def ask(self, seconds: float = _SECONDS) -> Asked:
        """Ask which topic it is, without waiting for the answer; `described` makes something of it."""
        from confluent_kafka import TopicCollection

        return self._admin.describe_topics(TopicCollection([self.name]), request_timeout=seconds)[self.name]

    def look(self, *, patiently: bool = False) -> Described:
        """Return the topic as it is now; `SourceError` if there is none, or no broker answers in time, or in a long time."""
        return _answered(lambda: self.described(self.ask()), _AWAY if patiently else 0.0)

    def described(self, asked: Asked) -> Described:
        """Return what `ask` has found; raises like `look`."""
        found = self._result(asked)
        topic_id = str(found.topic_id or _NO_ID)
        return Described("" if topic_id == _NO_ID else topic_id, tuple(sorted(each.id for each in found.partitions)))

    def firsts(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset at which each partition begins: what was before it is deleted."""
        return self._offsets(partitions, lambda spec: spec.earliest())

    def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset that the next record of each partition gets."""
        return self._offsets(partitions, lambda spec: spec.latest())

    def at(self, seconds: float, partitions: Iterable[int]) -> dict[int, int]:
        """Return the offset of each partition's first record that is not older than that time, in seconds since 1970; its end if none is."""
        found = self._offsets(partitions, lambda spec: spec.for_timestamp(int(seconds * 1000)))
        ends = self.ends([partition for partition, offset in found.items() if offset < 0])
        return {**found, **ends}

    def _offsets(self, partitions: Iterable[int], which: Callable[[Any], Any]) -> dict[int, int]:
        from confluent_kafka import TopicPartition, admin

        specs: Any = admin  # Any: the client exports no name for what says which offset is meant
        asked = {TopicPartition(self.name, partition): which(specs.OffsetSpec) for partition in partitions}

        def offsets() -> dict[int, int]:
            answers = self._admin.list_offsets(asked, request_timeout=_SECONDS)
            try:
                return {each.partition: self._result(answer, is_there=True).offset for each, answer in answers.items()}
            except SourceUnavailable:
                self.described(self.ask())  # which raises if there is no topic: a partition may have been added a moment ago
                raise

        return _answered(offsets, _AWAY) if asked else {}

    def members(self, group: str, seconds: float) -> Mapping[str, frozenset[int]] | None:
        """Return which partitions each member of a group of the classic protocol has; None while that is being settled, or no broker says.

        Asked by the older of two calls: with the newer one, librdkafka ends the process if the connection to the coordinator breaks
        at that moment (issue 4605 there; 2 of 2 runs of `bench/chaos_kafka.py` met it), as it does when a broker restarts.
        """
        from confluent_kafka import KafkaException

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that there is a newer call
                found = self._admin.list_groups(group, seconds)
        except KafkaException:
            return None
        settled = [each for each in found if each.id == group and each.state in ("Stable", "Empty")]
        if not settled:
            return None
        return {str(member.id): assigned_of(member.assignment or b"", self.name) for member in settled[0].members}

    def _result(self, asked: Future[Answer], *, is_there: bool = False) -> Answer:
        from confluent_kafka import KafkaException

        try:
            return asked.result(_SECONDS + _LATE)
        except (KafkaException, TimeoutError) as error:
            raise self._explained(error, is_there) from None

    def _explained(self, error: KafkaException | TimeoutError, is_there: bool) -> SourceError:
        self._admin.poll(0)  # what the client has to say comes in a call
        failure = failure_of(error)
        if not is_there and failure is not None and failure.code() in _unknown():
            return SourceError(f"there is no topic {self.name!r} at {self._servers}: create it, or correct the name")
        fatal = self._errors.fatal
        if fatal is not None:
            return given_up(f"{self._servers} refuses this client", fatal, fatal.str(), self._settings)
        if failure is None or failure.retriable() or failure.code() in (*_away(), *_unknown()):
            last = without_secrets(self._errors.last or ("" if failure is None else failure.str()), self._settings)
            return SourceUnavailable(
                f"no broker answers at {self._servers}{f' ({last})' if last else ''}: correct servers=, or see that it runs"
            )
        return given_up(f"{self._servers} says nothing of the topic {self.name!r}", failure, failure.str(), self._settings)


def assigned_of(assignment: bytes, topic: str) -> frozenset[int]:
    """Return the partitions of the topic in an assignment, as the classic protocol has it: a version, then each topic with its partitions."""
    if not assignment:
        return frozenset()
    (topics,), at = struct.unpack_from(">i", assignment, 2), 6
    found: frozenset[int] = frozenset()
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", assignment, at)
        name = assignment[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (count,) = struct.unpack_from(">i", assignment, at)
        if name == topic:
            found = frozenset(struct.unpack_from(f">{count}i", assignment, at + 4))
        at += 4 + 4 * count
    return found


class Watch:
    """Whether a topic is still the one that was begun with; looked after now and then, without waiting.

    The client says nothing of a topic that was deleted and made anew: it reads on in the new one at the offset that it has come to in
    the old one. Answers are taken by whoever reads, in its thread.
    """

    def __init__(self, topic: Topic, is_another: Callable[[Described], None]) -> None:
        self._topic = topic
        self._is_another = is_another  # raises if it is another
        self._asked: Asked | None = None
        self._asked_at = self._answered_at = time.monotonic()
        self._is_silent = False  # for so long that it was said

    def look(self) -> None:
        """Take an answer if there is one, and ask again if it is time; raises what `is_another` raises, and if the topic is gone."""
        now = time.monotonic()
        if self._asked is not None:
            if self._asked.done():
                asked, self._asked = self._asked, None
                self._take(asked, self._asked_at)
        elif now - self._asked_at >= _EVERY:
            self._asked, self._asked_at = self._topic.ask(), now

    def confirm(self, since: float) -> None:
        """Wait, though not long, until it is known that the topic was still the same at that time of the monotonic clock."""
        if self._answered_at < since:
            now = time.monotonic()
            self._take(self._topic.ask(_CONFIRMED_IN), now)

    def _take(self, asked: Asked, asked_at: float) -> None:
        try:
            self._is_another(self._topic.described(asked))
        except SourceUnavailable as error:
            if not self._is_silent and time.monotonic() - self._answered_at >= _SAY_AFTER:
                self._is_silent = True
                log.warning("%s; the client tries on", error)
            return
        self._answered_at = asked_at
        if self._is_silent:
            self._is_silent = False
            log.warning("brokers of the topic %r answer again", self._topic.name)


def _answered(ask: Callable[[], Answer], seconds: float) -> Answer:
    """Return the answer of brokers that may be away for so long."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except SourceUnavailable:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)


def _unknown() -> tuple[int, ...]:
    """Return the codes of errors about a topic, or a partition of it, of which the broker does not know."""
    from confluent_kafka import KafkaError as Codes

    return Codes.UNKNOWN_TOPIC_OR_PART, Codes._UNKNOWN_TOPIC, Codes._UNKNOWN_PARTITION, Codes.UNKNOWN_TOPIC_ID, Codes._NOENT


def _away() -> tuple[int, ...]:
    """Return the codes of errors for which brokers are asked again, besides those that the client calls retriable.

    It calls no answer so that an admin client gets; Kafka's own client tries again after all of these.
    """
    from confluent_kafka import KafkaError as Codes

    return (
        Codes._TIMED_OUT,
        Codes._TRANSPORT,
        Codes._ALL_BROKERS_DOWN,
        Codes._RESOLVE,
        Codes._WAIT_COORD,
        Codes.NOT_LEADER_FOR_PARTITION,
        Codes.LEADER_NOT_AVAILABLE,
        Codes.REPLICA_NOT_AVAILABLE,
        Codes.BROKER_NOT_AVAILABLE,
        Codes.FENCED_LEADER_EPOCH,  # of a broker that was restarted
        Codes.UNKNOWN_LEADER_EPOCH,
        Codes.OFFSET_NOT_AVAILABLE,
        Codes.KAFKA_STORAGE_ERROR,
        Codes.LISTENER_NOT_FOUND,
        Codes.NETWORK_EXCEPTION,
        Codes.THROTTLING_QUOTA_EXCEEDED,
        Codes.REQUEST_TIMED_OUT,
        Codes.NOT_CONTROLLER,
        Codes.NOT_COORDINATOR,
        Codes.COORDINATOR_NOT_AVAILABLE,
        Codes.COORDINATOR_LOAD_IN_PROGRESS,
    )
