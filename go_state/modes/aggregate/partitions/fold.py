"""The mode: a partitioned source read to its end, or until it is asked to end, in a thread or on an event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import TypeVar

from go_state.core.ports.partitions import AsyncPartitionedSource, PartitionedSource, SomeReading
from go_state.modes.aggregate.partitions.faces import LoopFace, ReadInThread, ThreadFace, describe, in_this_thread, on_loop_of
from go_state.modes.aggregate.partitions.holder import Outcome, StreamHolder
from go_state.modes.aggregate.partitions.making import ShareMaker
from go_state.runtime.flow.driver import drive, drive_async
from go_state.storage.snapshots.snapshot import Mark
from go_state.system.own_thread import OwnThread

Model = TypeVar("Model")
Msg = TypeVar("Msg")


def fold_partitions(maker: ShareMaker[Model, Msg], source: PartitionedSource[Msg]) -> Outcome[Msg]:
    """Read the source in the calling thread."""
    face: ThreadFace[Model, Msg] = ThreadFace(source, in_this_thread)
    maker.tell.started()
    error: BaseException | None = None
    try:
        holder = face.holder = StreamHolder(maker, source.open_partitions(), face, partial(describe, source))
        drive(holder.run())
        return holder.outcome()
    except BaseException as caught:
        error = caught
        raise
    finally:
        maker.tell.over(error)


async def fold_partitions_async(
    maker: ShareMaker[Model, Msg], source: PartitionedSource[Msg] | AsyncPartitionedSource[Msg]
) -> Outcome[Msg]:
    """Read the source on the running event loop; one for threads has a thread of its own for its calls."""
    maker.tell.started()
    error: BaseException | None = None
    try:
        async with maker.thread:
            if isinstance(source, AsyncPartitionedSource):
                return await _on_loop(maker, source)
            return await _in_thread(maker, source)
    except BaseException as caught:
        error = caught
        raise
    finally:
        maker.tell.over(error)


async def _on_loop(maker: ShareMaker[Model, Msg], source: AsyncPartitionedSource[Msg]) -> Outcome[Msg]:
    face: LoopFace[Model, Msg] = LoopFace(source)
    reading = await source.open_partitions_async()
    holder = face.holder = StreamHolder(maker, reading, face, partial(describe, source))
    await drive_async(holder.run())
    return holder.outcome()


async def _in_thread(maker: ShareMaker[Model, Msg], source: PartitionedSource[Msg]) -> Outcome[Msg]:
    import asyncio

    face: ThreadFace[Model, Msg] = ThreadFace(source, on_loop_of(asyncio.get_running_loop()))
    async with OwnThread("go_state source") as thread:
        opened = await _opened(source, face, thread)
        reading = ReadInThread(opened, thread, face)

        def described(marks: Mapping[str, Mark | None]) -> Awaitable[dict[str, str]]:
            return thread.finish(lambda: describe(source, marks))

        holder = face.holder = StreamHolder(maker, reading, face, described)
        await drive_async(holder.run())
        return holder.outcome()


async def _opened(source: PartitionedSource[Msg], face: ThreadFace[Model, Msg], thread: OwnThread) -> SomeReading[Msg]:
    """Open the source in the thread; one that is opened while the task is cancelled is closed again."""
    opened: list[SomeReading[Msg]] = []
    try:
        await thread.finish(lambda: opened.append(source.open_partitions()))
    except BaseException:
        for reading in opened:
            await thread.finish(partial(reading.close, face))
        raise
    return opened[0]
