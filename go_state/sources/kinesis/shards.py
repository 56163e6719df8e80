"""Which shards of a stream may be read now: those whose parents were read to their ends, and that were not themselves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from go_state.core.errors import SourceChanged
from go_state.sources.kinesis.client import Shard

Ends = Callable[[Collection[str]], Collection[str]]


class Shards:
    """The shards of a stream as they were listed last, and which of them have ended in the store."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        self._shards: Mapping[str, Shard] = {}
        self._ended: set[str] = set()

    def listed(self, shards: Mapping[str, Shard], known: Collection[str], ends: Ends) -> set[str]:
        """Note what the stream has now; return the shards of which nothing need be remembered any longer.

        `known` are shards that somebody has begun to read. Raises `SourceChanged` if one of them is gone and was not read to its end.
        """
        self._shards = shards
        gone = {shard for shard in known if shard not in shards and shard not in self._ended}
        self.look(ends)
        unread = sorted(gone.difference(ends(gone))) if gone else []
        if unread:
            raise SourceChanged(
                self._stream,
                f"of {', '.join(unread)} there are records that were never read, and the stream has removed the shard with them",
                "what is lost is lost: set the shard's position to its end if you go on without",
            )
        self._ended.intersection_update(shards)
        return gone.union(self._ended)

    def look(self, ends: Ends) -> None:
        """Ask which shards have ended meanwhile, whoever has read them."""
        asked = [name for name, shard in self._shards.items() if shard.is_closed and name not in self._ended]
        if asked:
            self._ended.update(ends(asked))

    def readable(self) -> list[str]:
        """Return the shards that may be read. A parent that the stream has no more was read, or has never been begun."""
        return [
            name
            for name, shard in self._shards.items()
            if name not in self._ended and all(p in self._ended or p not in self._shards for p in shard.parents)
        ]
