"""The client of Kafka, confluent-kafka: its settings, its consumer, and its errors in words without secrets."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from go_state.core.errors import MissingExtra, SourceError, UsageError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

Protocols: TypeAlias = Literal["classic", "consumer"]
Settings: TypeAlias = Mapping[str, object]  # texts, numbers and truth values, and functions of the client

log = logging.getLogger("go_state.kafka")


class ClientLog:
    """The client's own log, of which each failed attempt to connect is not worth a line: it tries again, and `Watch` says when that takes long."""

    def __init__(self, *also_quiet: str) -> None:
        self._quiet = ("FAIL", "ERROR", *also_quiet)

    def log(self, level: int, text: str, *of: object) -> None:
        """Log a line, whose first word says what it is about."""
        log.log(logging.DEBUG if of and of[0] in self._quiet else level, text, *of)


_OWN = {  # what is not the user's to set, and what says it instead
    "bootstrap.servers": "servers=",
    "group.id": "group=",
    "group.instance.id": "member=",
    "group.protocol": "protocol=",
    "partition.assignment.strategy": "it is cooperative-sticky, without which each change of the group stops all of its members",
    "auto.offset.reset": "start=",
    "enable.auto.commit": "the position is the store's",
    "enable.auto.offset.store": "the position is the store's",
    "enable.partition.eof": "it is on",
    "logger": 'the log is that of logging.getLogger("go_state.kafka")',
    "error_cb": "errors are raised or logged",
    "on_commit": "commits are for tools that show lag",
    "key.deserializer": "parse=",
    "value.deserializer": "parse=",
}
_SECRET = ("password", "secret", "token", "key", "pem", "jaas", "oauthbearer.config", "userinfo")
_QUEUED = 16_384  # kB of each partition that the client reads ahead; its own 64 MB would be 8 GB with 128 partitions


def import_client() -> None:
    """Raise `MissingExtra` unless the client is installed."""
    try:
        import confluent_kafka  # noqa: F401  - to see that it can be
    except ImportError:
        raise MissingExtra("kafka", "gs.sources.Kafka") from None


def check_settings(settings: object) -> None:
    """Raise `UsageError` for settings that are not the user's to make."""
    if not isinstance(settings, Mapping):
        raise UsageError('settings= is a dict of the client\'s settings, such as {"security.protocol": "SASL_SSL"}')
    for name in settings:
        if name in _OWN:
            raise UsageError(f"settings= cannot set {name!r}: {_OWN[name]}")


def connection(servers: str, settings: Settings) -> dict[str, object]:
    """Return the settings of any client of these servers."""
    return {"bootstrap.servers": servers, "logger": ClientLog(), **settings}


def consumer_settings(
    servers: str, group: str, member: str | None, protocol: Protocols, settings: Settings
) -> dict[str, object]:
    """Return the settings of a member of the group."""
    made: dict[str, object] = {
        "queued.max.messages.kbytes": _QUEUED,
        **connection(servers, settings),
        "group.id": group,
        "group.protocol": protocol,
        "auto.offset.reset": "error",  # an offset that is not there is for us to decide on, never for the client
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
    }
    if protocol == "classic":
        made["partition.assignment.strategy"] = "cooperative-sticky"
    if member is not None:
        made["group.instance.id"] = member
    return made


def without_secrets(text: str, settings: Settings) -> str:
    """Return the text without anything that settings with secrets hold."""
    for name, value in settings.items():
        if any(word in name.lower() for word in _SECRET) and isinstance(value, str) and value:
            text = text.replace(value, "***")
    return text


def failure_of(error: object) -> KafkaError | None:
    """Return the client's own account of what it has raised, None for anything else."""
    from confluent_kafka import KafkaError, KafkaException

    if isinstance(error, KafkaException) and error.args and isinstance(error.args[0], KafkaError):
        return error.args[0]
    return error if isinstance(error, KafkaError) else None


class ClientErrors:
    """What the client says outside of its answers: which error was the last, and whether it is one that no retry mends."""

    def __init__(self) -> None:
        self.last = ""
        self.fatal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        from confluent_kafka import KafkaError as Codes

        if error.code() != Codes._ALL_BROKERS_DOWN or not self.last:  # which says less than the one before it
            self.last = error.str()
        if error.code() == Codes._AUTHENTICATION or error.fatal():
            self.fatal = error


class Rebalanced(Protocol):
    """Who is told what the group decides, from within a call of the consumer."""

    def assigned(self, partitions: list[int], /) -> None:
        """Called with partitions that are this member's from now on."""
        ...

    def revoked(self, partitions: list[int], /) -> None:
        """Called with partitions to give back."""
        ...

    def lost(self, partitions: list[int], /) -> None:
        """Called with partitions that are somebody else's already."""
        ...


class Group:
    """A member of a consumer group, for one topic. Everything is called in one thread: others would wait for whoever polls."""

    def __init__(self, topic: str, settings: Settings, told: Rebalanced) -> None:
        from confluent_kafka import Consumer, KafkaException

        self.errors = ClientErrors()
        self.unanswered = 0  #: how many commits no broker has answered yet
        self._topic = topic
        try:
            self._consumer: Consumer = Consumer({**settings, "error_cb": self.errors, "on_commit": self._committed})
            self._consumer.subscribe(
                [topic], on_assign=_called(told.assigned), on_revoke=_called(told.revoked), on_lost=_called(told.lost)
            )
        except KafkaException as error:
            raise refused(error, settings) from None

    def first(self, seconds: float) -> Message | None:
        """Wait up to `seconds` for a record, or for something to be said about one."""
        return self._consumer.poll(seconds)

    def more(self, limit: int) -> list[Message]:
        """Return what there is besides, without waiting."""
        return self._consumer.consume(limit, 0)

    def assign(self, starts: Mapping[int, int]) -> None:
        """Read the partitions, each from its offset."""
        self._consumer.incremental_assign([self._at(partition, offset) for partition, offset in starts.items()])

    def unassign(self, partitions: Iterable[int]) -> None:
        """Read the partitions no more."""
        self._consumer.incremental_unassign([self._at(partition) for partition in partitions])

    def pause(self, partition: int) -> None:
        """Give nothing of the partition for now."""
        self._consumer.pause([self._at(partition)])

    def resume(self, partition: int) -> None:
        """Give the partition again."""
        self._consumer.resume([self._at(partition)])

    def commit(self, offsets: Mapping[int, int]) -> None:
        """Tell the group how far the partitions are read, for whoever looks at its lag; nothing is waited for."""
        if not offsets:
            return
        from confluent_kafka import KafkaException

        try:
            self._consumer.commit(offsets=[self._at(partition, offset) for partition, offset in offsets.items()])
            self.unanswered += 1
        except KafkaException as error:
            log.debug("the group was not told how far %s is read: %s", self._topic, error)

    def _committed(self, error: KafkaError | None, _: Sequence[TopicPartition]) -> None:
        self.unanswered -= 1
        if error is not None:  # of a member that was put out meanwhile, or a broker that is away: the next save tells it again
            log.debug("the group was not told how far it is: %s", error.str())

    def end(self, partition: int) -> int:
        """Return the offset at which the partition ended when something of it was fetched last; negative if nothing was yet."""
        known = self._consumer.get_watermark_offsets(self._at(partition), cached=True)
        return -1 if known is None else known[1]

    def member(self) -> str | None:
        """Return what the group calls this member, None before it was accepted."""
        return self._consumer.memberid()

    def is_member(self, partition: int, seconds: float) -> bool | None:
        """Ask the coordinator whether this is still a member as it knows it; None if no broker says, or what it knows is older.

        It is asked by a commit of what is committed of one of its partitions (0 if nothing is), which it refuses from whoever is no
        member. Of `protocol="consumer"` that is the answer for all of its partitions, because they go to others only when this member
        has given them back or was put out. The call that describes groups is none to make: with it librdkafka ends the process if the
        connection to the coordinator breaks at that moment (issue 4605 there), and the older one, for `classic`, knows nothing of
        such groups.

        The client bounds the first of the two calls alone: a coordinator that hangs between them is waited for.
        """
        from confluent_kafka import KafkaError, KafkaException

        try:
            (committed,) = self._consumer.committed([self._at(partition)], seconds)
            self._consumer.commit(offsets=[self._at(partition, max(committed.offset, 0))], asynchronous=False)
        except KafkaException as error:
            failure = failure_of(error)
            out = KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_MEMBER_EPOCH, KafkaError.FENCED_INSTANCE_ID
            return False if failure is not None and failure.code() in out else None
        return True

    def is_answered(self, partition: int, seconds: float) -> bool:
        """Return whether the coordinator says within the time how far one of the partitions was read."""
        from confluent_kafka import KafkaException

        try:
            return self._consumer.committed([self._at(partition)], seconds)[0].error is None
        except KafkaException:
            return False

    def close(self) -> None:
        """Leave the group, with all that is said of it before."""
        self._consumer.close()

    def _at(self, partition: int, offset: int = 0) -> TopicPartition:
        from confluent_kafka import TopicPartition

        return TopicPartition(self._topic, partition, offset)


def _called(told: Callable[[list[int]], None]) -> Callable[[Consumer, list[TopicPartition]], None]:
    def call(_: Consumer, partitions: list[TopicPartition]) -> None:
        if partitions:
            told([each.partition for each in partitions])

    return call


def refused(error: BaseException, settings: Settings) -> UsageError:
    """Return the error for settings with which there can be no client."""
    failure = failure_of(error)
    text = without_secrets(str(error) if failure is None else failure.str(), settings)
    return UsageError(f"Kafka's client takes no such settings ({text}): correct settings= or servers=")


def given_up(what: str, error: KafkaError | None, text: str, settings: Settings) -> SourceError:
    """Return the error for something that the client or a broker refuses permanently."""
    from confluent_kafka import KafkaError as Codes

    code = Codes.UNKNOWN if error is None else error.code()
    if code == Codes._FATAL and Codes(Codes.FENCED_INSTANCE_ID).str() in text:  # which the code itself hides
        code = Codes.FENCED_INSTANCE_ID
    advice = {
        Codes.TOPIC_AUTHORIZATION_FAILED: "its user may not read the topic: grant it Read and Describe",
        Codes.GROUP_AUTHORIZATION_FAILED: "its user may not be in the group: grant it Read on the group",
        Codes._AUTHENTICATION: "correct the credentials in settings=",
        Codes.FENCED_INSTANCE_ID: "another process has joined the group under the same member=: give each process its own",
        Codes.UNRELEASED_INSTANCE_ID: "another process is in the group under the same member=: give each process its own",
        Codes.UNSUPPORTED_VERSION: 'the broker is too old for what was asked; protocol="consumer" takes Kafka 4',
    }.get(code, "")
    said = without_secrets(text, settings)
    return SourceError(f"{what}: {said}{f'; {advice}' if advice else ''}")
