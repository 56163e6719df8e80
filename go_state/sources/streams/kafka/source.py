"""A topic of Kafka as a source of partitions."""

from __future__ import annotations

from collections.abc import Callable
from types import UnionType
from typing import TYPE_CHECKING, Any, Generic

from go_state.core.errors import SourceChanged, UsageError
from go_state.sources.decoding import Msg, Tags, check_decoding, decoded_alone, json_decoder, parsed_by
from go_state.sources.streams.kafka.client import (
    Protocols,
    Settings,
    check_settings,
    connection,
    consumer_settings,
    import_client,
)
from go_state.sources.streams.kafka.record import KafkaRecord, Records, read_raw, values, whole
from go_state.sources.streams.kafka.starts import Start, Starts, check_start
from go_state.sources.streams.kafka.topic import Topic

if TYPE_CHECKING:
    from go_state.sources.streams.kafka.reading import KafkaReading


_ID = "topic "  # begins a fingerprint


class Kafka(Generic[Msg]):
    """A topic of Kafka, of which each process of a consumer group reads a part: for `aggregate` with a function as `key`.

    `topic` is one topic, and its partitions are called "0", "1" and so on. `of`, `tag`, `tags` and `parse` say what a message is, as
    for `JSONLines`: the value of a record is JSON, or `parse` is a function of a `KafkaRecord`, which has the key, headers and time as
    well, that returns a message, or None for none. `group` names the processes that share the topic, and `servers` some of its
    brokers, as "host:port,host:port". `name` is what positions are stored under, by default the topic's name.

    The group decides who reads which partition, and the store decides from where: each partition is read on behind the position in
    the store. If there is none it begins at `start`: "oldest", "newest", or a datetime, which are those of the moment when the first
    process of the group has begun; partitions that are added later are read from their first record. The offsets that the group keeps
    are written after each save, so that tools can show the lag, and are never read.

    With `member`, a name that each process has for itself, one that is back within `session.timeout.ms` has its partitions again and
    the others notice nothing. `protocol="consumer"` is that of Kafka 4, in which brokers share the partitions out. `settings` are those
    of the client (librdkafka), such as "security.protocol", "sasl.password", "session.timeout.ms" or "isolation.level", which is
    "read_committed". What they hold of secrets is in no error and no repr.

    Reading raises `SourceChanged` if records that follow a position were deleted, if the topic was made anew, or if its log has lost
    its end; `SourceUnavailable` if no broker answers at the beginning, and `SourceError` for a topic that there is not and for what a
    broker refuses. A broker that goes away while it is read is waited for. `MissingExtra` without the extra go-state[kafka].
    """

    def __init__(
        self,
        topic: str,
        of: type[Msg] | UnionType | None = None,  # a union is no type to every checker
        *,
        group: str,
        servers: str,
        tag: str | None = None,
        tags: Tags | None = None,
        parse: Callable[[KafkaRecord], Msg | None] | None = None,
        name: str | None = None,
        start: Start = "oldest",
        member: str | None = None,
        protocol: Protocols = "classic",
        settings: Settings | None = None,
    ) -> None:
        texts = {"topic": topic, "group": group, "servers": servers, "name": name, "member": member}
        for each, text in texts.items():
            if (text is None and each not in ("name", "member")) or (
                text is not None and (not isinstance(text, str) or not text)
            ):
                raise UsageError(
                    f"{each}= is a text, not {text!r}" + ("; one source reads one topic" if each == "topic" else "")
                )
        if protocol not in ("classic", "consumer"):
            raise UsageError(f'protocol= is "classic" or "consumer", not {protocol!r}')
        check_start(start)
        check_settings({} if settings is None else settings)
        check_decoding(of, tag, tags, parse)
        import_client()
        self.topic = topic
        self.group = group
        self._name = topic if name is None else name
        self._servers = servers
        self._settings: Settings = {} if settings is None else dict(settings)
        self._consumer = consumer_settings(servers, group, member, protocol, self._settings)
        self._starts = Starts(self._name, group, start)
        self._parse: Callable[[KafkaRecord], object] | None = None if parse is None else parsed_by(parse)
        self._decoder: Callable[[], Callable[[bytes], Any]] = lambda: json_decoder(of, tag=tag, tags=tags)
        self._topic_id: str | None = None  # of the topic that was opened last

    @property
    def name(self) -> str:
        """The name its positions are stored under."""
        return self._name

    def __repr__(self) -> str:
        return f"<Kafka topic {self.topic!r} at {self._servers}, group {self.group!r}>"

    def fingerprint(self, partition: str, /) -> str:
        """Describe the topic as it is now: by the id that it has until it is deleted."""
        return _ID + self._id()

    def recognise(self, partition: str, fingerprint: str, /) -> None:
        """Raise `SourceChanged` unless the topic is the one that gave the fingerprint."""
        before, now = fingerprint.removeprefix(_ID), self._id()
        if before != now and before and now:  # brokers older than 2.8 tell no id
            raise SourceChanged(
                self._name,
                f"the topic {self.topic!r} was deleted and made anew",
                "give the new topic another name=, or delete the position if it is to be read from its beginning",
            )

    def _id(self) -> str:
        topic_id = self._topic_id
        if topic_id is None:
            topic_id = self._topic_id = self._ask().look().id
        return topic_id

    def _ask(self) -> Topic:
        return Topic(self.topic, self._servers, connection(self._servers, self._settings))

    def open_partitions(self) -> KafkaReading[Msg]:
        """Join the group."""
        from go_state.sources.streams.kafka.reading import KafkaReading

        reading = KafkaReading[Msg](self._name, self._ask(), self.group, self._consumer, self._starts, self._records())
        self._topic_id = reading.topic_id
        return reading

    def _records(self) -> Records[Any]:
        return values(self._name, self._decoder()) if self._parse is None else whole(self._name, self._parse)

    def decode(self, raw: bytes) -> Msg:
        """Return the message of `raw`, a record that was kept, as when it is read; `BadRecord` if it is not one."""
        parse = self._parse
        read = self._decoder() if parse is None else lambda kept: parse(read_raw(kept))
        message: Msg = decoded_alone(read, raw, self._name)
        return message
