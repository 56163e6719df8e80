"""A progress bar for a file that is being read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from go_state.core.errors import MissingExtra, UsageError
from go_state.core.ports import Undecoded
from go_state.sources.files import FileReading, FileSource, OpenedFile

Msg = TypeVar("Msg", covariant=True)

_EVERY = 1000  # records between two looks at the position, which cost about 1 us each; the bar draws itself ten times a second


class progress(Generic[Msg]):
    """The file as a source that shows a bar, with `description`, on standard error while it is read; needs the extra `cli`.

    `gs.aggregate(program, gs.sources.progress(gs.sources.CSV(path, Effect)), ...)`. Nothing is drawn if standard error is
    no terminal.
    """

    def __init__(self, source: FileSource[Msg], *, description: str | None = None) -> None:
        if not isinstance(source, FileSource):
            raise UsageError(
                f"progress() shows how far a file is read: give it a gs.sources.CSV or JSONLines, not a {type(source).__qualname__}"
            )
        try:
            import rich.progress  # noqa: F401
        except ImportError as error:
            raise MissingExtra("cli", "a progress bar") from error
        self._source = source
        self._description = source.name if description is None else description

    @property
    def name(self) -> str:
        """The file's name."""
        return self._source.name

    def open_once(self) -> _Opened[Msg]:
        """Open the file, to recognise, describe and read the same file."""
        return _Opened(self._source.open_once(), self._description)

    def fingerprint(self) -> str:
        """Return the file's fingerprint."""
        return self._source.fingerprint()

    def recognise(self, fingerprint: str) -> None:
        """Raise `SourceChanged` unless it is the file that gave the fingerprint."""
        self._source.recognise(fingerprint)

    def read(self, after: int | None = None) -> _Reading[Msg]:
        """Begin a pass with a bar."""
        return _Reading(self._source.read(after), self._source.size(), self._description)


class _Opened(Generic[Msg]):
    def __init__(self, opened: OpenedFile[Msg], description: str) -> None:
        self.name = opened.name
        self.fingerprint = opened.fingerprint
        self.recognise = opened.recognise
        self.close = opened.close
        self._opened = opened
        self._description = description

    def read(self, after: int | None = None) -> _Reading[Msg]:
        return _Reading(self._opened.read(after), self._opened.length, self._description)


class _Reading(Generic[Msg]):
    def __init__(self, reading: FileReading[Msg], size: int, description: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._reading = reading
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TextColumn("{task.fields[records]} records"),
            TimeRemainingColumn(), console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(description, total=size, records="0")

    @property
    def position(self) -> int:
        return self._reading.position

    def __iter__(self) -> Iterator[Msg | Undecoded]:
        with self._bar:
            try:
                for number, record in enumerate(self._reading):
                    if number % _EVERY == 0:
                        self._show()
                    yield record
            finally:
                self._show()

    def _show(self) -> None:
        self._bar.update(self._task, completed=self._reading.bytes_read(), records=f"{self._reading.position:,}")

    def close(self) -> None:
        self._reading.close()
        self._bar.stop()
