"""The running programs of many keys: what users hold of all of them. `place.py` is what becomes of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from go_state.core.errors import TimedOut, UsageError
from go_state.modes.app.app import App
from go_state.modes.keyed_apps.directory import Directory
from go_state.modes.keyed_apps.keyed_app import KeyedApp, left
from go_state.modes.keyed_apps.looking import KeyedStatistics, keyed_statistics
from go_state.modes.keyed_apps.place import Place
from go_state.modes.keyed_apps.states import KeptAs
from go_state.runtime.flow.driver import refuse_running_loop
from go_state.system.forks import at_fork
from go_state.system.own_thread import OwnThread
from go_state.waking.deadlines import deadline

Model = TypeVar("Model")
Msg = TypeVar("Msg")


class KeyedApps(Generic[Model, Msg]):
    """The running programs of many keys; made by `start_keyed` or `start_keyed_async`. `apps[key]` is what to hold of one.

    A context manager, of both kinds: left, every app drains, or ends after the running turn if the block raises. What programs
    have failed with is raised from the block, as an `ExceptionGroup`, or, of `SystemExit` and its like, as it is, unless `on_failed`
    was told; a key whose program has failed refuses further use until `restart`. What is sent to a program that is being put to rest
    goes to its next life, once and in order. With a store, a program at rest is started when one of its timers is due, also after a
    crash, from the time on at which the block is entered or a key is first used.
    """

    def __init__(self, directory: Directory[Model, Msg], thread: OwnThread, kept: KeptAs[Model, Msg]) -> None:
        self.directory = directory  #: which key is where, for the runtime
        self.kept = kept  #: the program, and where its models and messages are kept
        self._thread = thread  # in which programs on an event loop use the store: one for each would be too many
        at_fork(self)

    def __getitem__(self, key: str) -> KeyedApp[Model, Msg]:
        return KeyedApp(self.directory, _checked_key(key))

    def __len__(self) -> int:
        """Return how many apps are running."""
        return len(self.directory.running())

    def __iter__(self) -> Iterator[str]:
        """Give the keys whose apps are running."""
        return iter(self.directory.running())

    def __contains__(self, key: object) -> bool:
        """Return whether the key's app is running."""
        place = self.directory.places.get(key) if isinstance(key, str) else None
        return place is not None and not place.is_over

    def send(self, key: str, *messages: Msg) -> None:
        """Put the messages, one or more, into the queue of the key's program, in order and together; never waits.

        Raises `Closed` once the programs were stopped, and when this one has failed, with its error as the cause.
        """
        KeyedApp(self.directory, _checked_key(key)).send(*messages)

    def live(self, key: str) -> App[Model, Msg]:
        """Return the app of the key, started if it is not running; it may be about to end."""
        return self[key].live()

    def running(self, key: str) -> App[Model, Msg] | None:
        """Return the app of the key if it is running; None if it is at rest, which it stays."""
        place = self.directory.places.get(key)
        return None if place is None or place.is_over else place.present

    def failed(self) -> dict[str, BaseException]:
        """Return the keys whose programs have failed, and with what."""
        return dict(self.directory.failed)

    def restart(self, key: str) -> bool:
        """Start a program that has failed, and take messages for it again; return whether it had failed.

        With a store it goes on before the message that it has failed on, and fails again unless that, or what it met with, is mended.
        What it had failed with is not raised from the block any more.
        """
        return self.directory.restart(_checked_key(key))

    def statistics(self) -> KeyedStatistics:
        """Return what an operator wants to know of all of them."""
        return keyed_statistics(self.directory)

    # ------------------------------------------------------------------ waiting until all is done

    def settle(self, timeout: float | None = None) -> None:
        """Wait until all that was sent before the call is done in every program, as `App.settle` does for one.

        What they send each other is waited for as well: as long as one of them sends to another, all are waited for once more. What
        others send meanwhile is not. Raises `TimedOut`, and `Closed` if one fails meanwhile.
        """
        until = deadline(timeout)
        for handle in self._to_settle():
            handle.settle(left(until))

    async def settle_async(self, timeout: float | None = None) -> None:
        """Wait as `settle` does, on the event loop."""
        until = deadline(timeout)
        for handle in self._to_settle():
            await handle.settle_async(left(until))

    def _to_settle(self) -> Iterator[KeyedApp[Model, Msg]]:
        """Give the programs to wait for, all of them again and again, until they have sent each other nothing while all were waited for.

        Twice at least, if they had something to do: what one has sent as this began may not have been counted.
        """
        directory, times = self.directory, 0
        directory.begin_settling()
        try:
            while True:
                before, sent = self._progress(), directory.sent_inside
                for key in directory.running():
                    if key not in directory.failed:
                        yield self[key]
                times += 1
                if before == self._progress() or (times > 1 and sent == directory.sent_inside):
                    return
        finally:
            directory.begin_settling(-1)

    def _progress(self) -> list[tuple[str, int, int, int]]:
        """Return how far each has come."""
        found = [(place, place.present) for place in self.directory.all()]
        return [(place.key, id(app), app.life.run.processed, place.waiting) for place, app in found if app is not None]

    # ------------------------------------------------------------------ ending

    def after_fork_in_child(self) -> None:
        """In a forked child: be stopped. The programs run in the parent."""
        self.directory.leave_to_parent()

    def stop(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End every app, as `App.stop` does, all of them at once, within `timeout` seconds for all of them together.

        Called in a turn of one of them, or by one of its commands, it asks for the end and does not wait for it.
        """
        until, inside = deadline(timeout), self._holds_caller()
        if not inside:
            refuse_running_loop("stop")
        places = self._ask_all(drain)
        if inside:
            return
        try:
            for place in places:
                place.over.watch().get(left(until))
        except TimedOut:
            raise self._out_of_time(timeout) from None
        for place in places:
            if place.present is not None:
                place.present.stop()  # waits for its thread, which has nothing more to do
        self._end_alarm()
        self._thread.close()

    async def stop_async(self, *, drain: bool = True, timeout: float | None = None) -> None:
        """End every app as `stop` does, waiting on the event loop."""
        until, inside = deadline(timeout), self._holds_caller()
        places = self._ask_all(drain)
        if inside:
            return
        try:
            for place in places:
                await place.over.watch().get_async(left(until))
        except TimedOut:
            raise self._out_of_time(timeout) from None
        self._end_alarm()
        await self._thread.aclose()

    def _end_alarm(self) -> None:
        if self.directory.alarm is not None:
            self.directory.alarm.close()

    def _holds_caller(self) -> bool:
        apps = [place.present for place in self.directory.all()]
        return any(app is not None and app.life.is_part() for app in apps)

    def _ask_all(self, drain: bool) -> list[Place[Model, Msg]]:
        places = self.directory.close()
        for place in places:
            place.ask_to_rest(drain=drain, for_good=True)
        return places

    def _out_of_time(self, timeout: float | None) -> TimedOut:
        left = sum(not place.is_over for place in self._ask_all(False))
        return TimedOut(f"{left} programs were not drained within {timeout} seconds: they end, each after the running turn")

    def _raise_errors(self, error: BaseException | None) -> None:
        errors = [each for each in tuple(self.directory.errors) if each is not error]
        fatal = [each for each in errors if not isinstance(each, Exception)]
        raised = error or (fatal[0] if fatal else None)
        if raised is None:
            _raise_group(errors)
            return
        for each in errors:
            if each is not raised:
                raised.add_note(f"a program had failed as well: {type(each).__qualname__}: {each}")
        if error is None:
            raise raised

    def __enter__(self) -> Self:
        refuse_running_loop("start_keyed")
        self.directory.open()
        if self.directory.alarm is not None:
            self.directory.alarm.wait_until_looked()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        drain, interruption = error is None, None
        while True:
            try:
                self.stop(drain=drain)
                break
            except (Exception, GeneratorExit):
                raise
            except BaseException as each:  # Ctrl-C, say: no app outlives the block, but each ends after the running turn
                drain, interruption = False, interruption or each
        self._raise_after(error, interruption)

    async def __aenter__(self) -> Self:
        self.directory.open()
        if self.directory.alarm is not None:
            await self._thread.call(self.directory.alarm.wait_until_looked)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        drain, interruption = error is None, None
        while True:
            try:
                await self.stop_async(drain=drain)
                break
            except (Exception, GeneratorExit):
                raise
            except BaseException as each:  # a cancellation, say
                drain, interruption = False, interruption or each
        self._raise_after(error, interruption)

    def _raise_after(self, error: BaseException | None, interruption: BaseException | None) -> None:
        self._raise_errors(interruption or error)
        if interruption is not None:
            raise interruption


def _raise_group(errors: Iterable[BaseException]) -> None:
    ordinary = [each for each in errors if isinstance(each, Exception)]
    if ordinary:
        raise ExceptionGroup("programs have failed", ordinary)


def _checked_key(key: object) -> str:
    if not isinstance(key, str):
        raise UsageError(f"the key of a program is a string, not a {type(key).__qualname__}")
    return key
