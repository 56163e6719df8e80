"""The calls of a Kinesis client that are made here, and what their errors mean. The only file that knows botocore.

boto3's clients may be called in several threads at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from go_state.core.errors import MissingExtra, SourceChanged, SourceError, UsageError

Client: TypeAlias = Any  # boto3 makes its clients' classes at run time
Record: TypeAlias = Mapping[str, Any]

_LIMIT = 2_000  # records of one call: a second's worth of a shard, twice over


class Stream(NamedTuple):
    """A stream as it was described: which one it is, and for how many milliseconds it keeps records."""

    created: str
    retention: int


class Shard(NamedTuple):
    """What a stream says of a shard."""

    parents: Sequence[str]
    is_closed: bool


class Page(NamedTuple):
    """What one call has got: records, what the next call needs (None: the shard is closed and read), and how far behind it is."""

    records: Sequence[Record]
    iterator: str | None
    behind: int


@dataclass(frozen=True, slots=True)
class Begin:
    """Where to begin in a shard: at the record with a number, at a time in milliseconds since 1970, or at its oldest record."""

    at: str | None = None
    time: int | None = None


class TryAgainError(Exception):
    """The call did not come about and may do later: it was throttled, or the service was not reached."""


class ExpiredError(Exception):
    """The iterator is too old."""


class Calls:
    """The calls of one client for one stream."""

    def __init__(self, client: Client, stream: str) -> None:
        try:
            from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # it has no types
        except ImportError:
            raise MissingExtra("kinesis", "gs.sources.Kinesis") from None
        if not callable(getattr(client, "get_shard_iterator", None)):
            raise UsageError(f'client= is boto3.client("kinesis"), not a {type(client).__qualname__}')
        self._client, self._stream = client, stream
        self._refused: type[Exception] = ClientError
        self._unreachable: type[Exception] = BotoCoreError

    def describe(self) -> Stream:
        """Return what the stream is now."""
        found = self._call("describe_stream_summary", StreamName=self._stream)["StreamDescriptionSummary"]
        return Stream(
            str(round(found["StreamCreationTimestamp"].timestamp() * 1000)), int(found["RetentionPeriodHours"]) * 3_600_000
        )

    def shards(self) -> dict[str, Shard]:
        """Return the shards that the stream has, those that are closed included."""
        shards: dict[str, Shard] = {}
        wanted: dict[str, str] = {"StreamName": self._stream}
        while True:
            page = self._call("list_shards", **wanted)
            for each in page["Shards"]:
                parents = [each[name] for name in ("ParentShardId", "AdjacentParentShardId") if each.get(name)]
                is_closed = each["SequenceNumberRange"].get("EndingSequenceNumber") is not None
                shards[each["ShardId"]] = Shard(parents, is_closed)
            if not page.get("NextToken"):
                return shards
            wanted = {"NextToken": page["NextToken"]}

    def iterator(self, shard: str, begin: Begin) -> str:
        """Return what to ask for records with."""
        how: dict[str, object] = {"ShardIteratorType": "TRIM_HORIZON"}
        if begin.at is not None:
            how = {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": begin.at}
        elif begin.time is not None:
            how = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": begin.time / 1000}
        found = self._call("get_shard_iterator", StreamName=self._stream, ShardId=shard, **how)
        return str(found["ShardIterator"])

    def records(self, iterator: str) -> Page:
        """Return the next records."""
        found = self._call("get_records", ShardIterator=iterator, Limit=_LIMIT)
        return Page(found["Records"], found.get("NextShardIterator"), int(found.get("MillisBehindLatest") or 0))

    def _call(self, name: str, **arguments: object) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client, name)(**arguments)
        except self._refused as error:
            raise self._meaning(error, name, "Timestamp" in arguments) from error
        except self._unreachable as error:
            raise TryAgainError(f"{name}: {type(error).__name__}") from error
        return answer

    def _meaning(self, error: Any, name: str, is_timed: bool) -> Exception:
        """Return the error of ours that says what the client's means. Any: of a class that is known at run time."""
        code, status = error.response["Error"]["Code"], error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == "ExpiredIteratorException":
            return ExpiredError()
        if code in _THROTTLED or status >= 500:
            return TryAgainError(f"{name}: {code}")
        if code == "InvalidArgumentException" and is_timed:
            return TryAgainError("the time to start at is in the future of the service's clock")
        if code == "InvalidArgumentException" and name == "get_shard_iterator":
            return SourceChanged(f"{self._stream}", "it has no record with the stored sequence number")
        return SourceError(
            f"Kinesis refuses {name} for the stream {self._stream!r} with {code}: is there such a stream, and may we read it?"
        )


_THROTTLED = {
    "KMSThrottlingException",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
