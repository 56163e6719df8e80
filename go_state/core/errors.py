"""Every error that go_state raises on purpose, as one tree.

    GoStateError
    ├── ProgramError            the program breaks its contract      fix init, update or a command
    ├── UsageError              a call that cannot work              fix the call
    │   ├── InsideLoop          a blocking mode inside an event loop use the `_async` twin
    │   └── MissingExtra        an optional dependency is absent     install the extra it names
    ├── Waiting
    │   ├── Closed              nothing more will come or be taken   catches the three below
    │   │   ├── Ended           what you read was closed and is read stop reading: it is the normal end
    │   │   ├── UsedAfterClose  it was closed before this call       call it before, or make another
    │   │   └── AppEnded        the app ended, its failure is the    see its cause; start it again
    │   │                       cause
    │   ├── Empty               nothing there right now              wait, or come back
    │   ├── Full                a bound was asked for and is reached slow down
    │   ├── TimedOut            the time you gave is over            nothing was consumed
    │   ├── Lagged              your next message was trimmed away   seek
    │   ├── NothingPending      commit or rollback without a read    read first
    │   ├── ConcurrentGet       two waits on one reader              give each its own reader
    │   └── NoReply             the turn answered nobody             return Cmd.reply
    ├── Denied                  a middleware refused the message     its reason says why
    ├── NotRepeatable           a history does not say what a        see the message
    │                           command or a clock has brought
    ├── StoreError
    │   ├── Conflict            somebody else wrote the key first    load again and retry
    │   │   └── TakenOver       another run has claimed the source   leave it to that one, or start again
    │   ├── LeaseHeld           somebody else writes the journal     end the other, or wait
    │   ├── Corrupt             stored bytes are damaged             put a whole copy back
    │   ├── Incompatible        stored under another schema          migrate
    │   ├── NotStorable         it would not read back equal         change the type or the value
    │   ├── InvalidKey          the store cannot hold this key       choose another
    │   ├── StoreFull           no room for the write                raise map_size or free the disk
    │   └── StoreUnavailable    the file cannot be opened or used    see the message
    │       └── StoreReplaced   another file has taken its place     open the store again
    └── SourceError
        ├── SourceChanged       not the stream that was read before  rename the source
        ├── SourceUnavailable   no server of the stream answers      see that it runs and can be reached
        └── BadRecord           a record that cannot be read         fix the record, or on_error=

    GoStateWarning              also UserWarning or RuntimeWarning
    ├── TypesChanged            classes changed without a schema     raise schema=, and migrate
    ├── UnfinishedRecord        a file's last record has no end      say finished=, if you know
    ├── LeftRunning             a command or a get did not end       have it end when it is cancelled
    └── ObserverFailed          an observer of observe= has raised   mend it; it was left out

The message says what happened, what was expected and what to do; the context is in the attributes. Contents of messages and
models never appear in it, because errors are logged and models hold people's data.

Errors are values: one that is copied, or pickled on its way out of a process pool, comes back equal, with its attributes and notes.
"""

from __future__ import annotations


class GoStateError(Exception):
    """The root: everything that go_state raises on purpose.

    Two errors are equal when their class, text, attributes and notes are; causes and tracebacks are not compared.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _made_again, (type(self), self.args, dict(self.__dict__))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GoStateError):
            return NotImplemented
        return type(self) is type(other) and self.args == other.args and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), str(self)))


def _made_again(kind: type[GoStateError], args: tuple[object, ...], attributes: dict[str, object]) -> GoStateError:
    """Return the error that was pickled or copied; its `__init__`, which takes what the text is made from, is not called."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(attributes)
    return error


class ProgramError(GoStateError, TypeError):
    """`init`, `update`, `view` or a command breaks its contract."""


class UsageError(GoStateError, ValueError):
    """The arguments of a call cannot work together, or at all."""


class InsideLoop(UsageError, RuntimeError):
    """A blocking mode was called in a thread whose event loop is running."""

    def __init__(self, called: str, instead: str | None = None) -> None:
        super().__init__(
            f"{called}() blocks its thread, and an event loop is running in this one: "
            f"use `{instead or f'await {called}_async(...)'}` here, or call {called}() from a thread of its own"
        )
        self.called = called


class MissingExtra(UsageError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, extra: str, feature: str) -> None:
        super().__init__(f'{feature} needs an optional dependency: pip install "go-state[{extra}]"')
        self.extra = extra


class Waiting(GoStateError):
    """Base of what ends or prevents a wait."""


class Closed(Waiting):
    """Nothing more will come or be taken; which of the three below says why. A queue of your own raises this one at its end."""


class Ended(Closed):
    """What is read, such as a buffer or a value, was closed and is read to its end: the normal way to stop reading."""


class UsedAfterClose(Closed):
    """A buffer, a reader, a watcher or a value was closed, and is used all the same."""


class AppEnded(Closed):
    """The app has ended, and takes or gives nothing more. What it has failed with, if it has, is the cause of this."""


class Empty(Waiting):
    """There is nothing to get right now."""


class Full(Waiting):
    """The buffer has a bound and holds that many messages."""

    def __init__(self, maxsize: int) -> None:
        super().__init__(f"the buffer holds its maxsize of {maxsize} messages: wait until readers commit, or put less")
        self.maxsize = maxsize


class TimedOut(Waiting, TimeoutError):
    """The given time passed first."""


class Lagged(Waiting):
    """The reader's next message was trimmed away by the retention policy."""

    def __init__(self, missed: int, oldest: int, why: str = "") -> None:
        super().__init__(
            why
            or f"{missed} messages were trimmed before this reader got to them: "
            f'seek("oldest") goes on at position {oldest}, seek("newest") skips to the end'
        )
        self.missed = missed
        self.oldest = oldest


class NothingPending(Waiting):
    """There is no uncommitted read to commit or roll back."""


class ConcurrentGet(Waiting):
    """A second wait began on a reader that somebody waits on already."""


class NoReply(Waiting):
    """Somebody asked, and the turn of the message gave no answer."""

    def __init__(self) -> None:
        super().__init__(
            "the turn of the message has answered nothing: return gs.Cmd.reply(value) among its commands, or use apply"
        )


class Denied(GoStateError):
    """A middleware denied the message; the model stays as it was. `reason` says why."""

    def __init__(self, reason: str = "denied") -> None:
        super().__init__(reason)
        self.reason = reason


class NotRepeatable(GoStateError):
    """A history cannot be folded exactly: what a command has brought, or when a message entered, is not in it.

    `position` is that of the message whose turn asks for it, None for the beginning.
    """

    def __init__(self, name: str, position: object, why: str, advice: str) -> None:
        where = "at its beginning" if position is None else f"at position {position}"
        super().__init__(f"the history {name!r} cannot be repeated {where}: {why}; {advice}")
        self.name = name
        self.position = position
        self.why = why


class StoreError(GoStateError):
    """Base of what goes wrong between a model and its store."""


class Conflict(StoreError):
    """Another writer was faster; nothing was written.

    `expected` and `found` are versions of the key, or, for a journal, the positions at which it was expected to end and at which it ends.
    """

    def __init__(self, key: str, expected: int, found: int, *, journal: bool = False) -> None:
        super().__init__(
            f"the journal {key!r} ends at position {found}, not {expected} as when it was read: another writer was first and "
            f"nothing was written; open the journal again"
            if journal
            else f"key {key!r} is at version {found}, not {expected} as when it was loaded: another writer was first and "
            f"nothing was written; load the key again and repeat the work"
        )
        self.key = key
        self.expected = expected
        self.found = found


class TakenOver(Conflict):
    """Another run has claimed the source since this one did, and goes on from what was saved; nothing more was saved here.

    `holder` is who it is, as machine:process, and `epoch` the how many-th holder. `key` is that of the record of the claim.
    """

    def __init__(self, key: str, expected: int, found: int, *, holder: str, epoch: int) -> None:
        StoreError.__init__(
            self,
            f"{holder} has claimed {key!r}, as its holder number {epoch}, and goes on from what was saved: nothing more was saved here; "
            f"if two were meant to read it, give each a source or a key of its own, and if this one should go on, start it again",
        )
        self.key = key
        self.expected = expected
        self.found = found
        self.holder = holder
        self.epoch = epoch


class Corrupt(StoreError):
    """Stored bytes do not match their checksum, or cannot be what they claim to be."""

    def __init__(self, key: str, what: str, *, position: int | None = None) -> None:
        super().__init__(
            f"what is stored under {key!r} is damaged ({what}): nothing was loaded; put back a backup of the store, or a copy "
            f"that was made while no process had it open"
        )
        self.key = key
        self.what = what
        self.position = position


class LeaseHeld(StoreError):
    """Somebody else writes the journal: another process, or another part of this one."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the lease of the journal {name!r} is held, perhaps by a program that is still running: two would do every effect twice; "
            f'end the other, or wait for it with lease="wait"'
        )
        self.name = name


class Incompatible(StoreError):
    """A snapshot was stored under another schema than the program's; `field` names what does not fit."""

    def __init__(self, key: str, field: str, why: str) -> None:
        super().__init__(
            f"what is stored under {key!r} does not fit this program ({field}: {why}): nothing was loaded; if its types have changed, "
            f"give it a new schema= and migrations= from the old one; or run the program that wrote it, or store this one under another key"
        )
        self.key = key
        self.field = field
        self.why = why


class GoStateWarning(Warning):
    """The root of the warnings: everything that go_state warns of."""


class TypesChanged(GoStateWarning, UserWarning):
    """A class has changed since its values were stored, without a new schema, and they may be read as something else."""


class UnfinishedRecord(GoStateWarning, UserWarning):
    """The last record of a file has no line end: it may still be growing, and was left for the next pass."""

    def __init__(self, path: str, record: int) -> None:
        super().__init__(path, record)  # what it is made of again, when it is unpickled
        self.path = path
        self.record = record

    def __str__(self) -> str:
        return (
            f"record {self.record} of {self.path} has no end yet, and was left for the next pass: its writer may not be done with "
            f"it; if the file is complete say finished=True, and if it grows finished=False, which leaves it without this warning"
        )


class LeftRunning(GoStateWarning, RuntimeWarning):
    """A command that was cancelled at the end of its run did not end within its grace, or a consumer's get is still running."""


class ObserverFailed(GoStateWarning, RuntimeWarning):
    """An observer of a run has raised, and is called no more; the run goes on."""


class NotStorable(StoreError, TypeError):
    """A type or value that JSON cannot hold and give back equal."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} cannot be stored: {why}")
        self.path = path


class InvalidKey(StoreError, ValueError):
    """A key that is not a string, is too long, or is reserved."""


class StoreFull(StoreError):
    """The store has no room; the transaction was rolled back and nothing stored before is lost."""


class StoreUnavailable(StoreError):
    """The store's file cannot be opened, or the store cannot be used from this process or thread."""


class StoreReplaced(StoreUnavailable):
    """Another file is where the store's was opened, as after it was compacted; nothing was read or written."""


class SourceError(GoStateError):
    """Base of what goes wrong with the stream that a batch reads."""


class SourceChanged(SourceError):
    """The stream is not the one whose position is stored under this name."""

    def __init__(self, name: str, why: str, advice: str = "") -> None:
        super().__init__(
            f"the source {name!r} is not the one that was read before under that name ({why}): its stored position says "
            f"nothing about it and nothing was read; {advice or 'give the new stream another name='}"
        )
        self.name = name


class SourceUnavailable(SourceError):
    """No server of the stream answers."""


class BadRecord(SourceError, ValueError):
    """One record of a stream cannot be read as a message; `record` is its number, or whatever the stream counts in."""

    def __init__(self, name: str, record: object, why: str) -> None:
        super().__init__(f"record {record} of {name}: {why}")
        self.name = name
        self.record = record
        self.why = why
