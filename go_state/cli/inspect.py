"""The page that travels in time through a store or a file: the command `go-state inspect`."""

from __future__ import annotations

from contextlib import ExitStack, suppress

from go_state.cli.history.asked import asked, kind_of
from go_state.cli.history.where import Where, takes_where
from go_state.cli.opened import import_program, open_store
from go_state.cli.parameters import Host, Inspected, Port, RedactPaths, StoreOfProgram, Token
from go_state.core.errors import UsageError
from go_state.core.program import SomeProgram
from go_state.history.reading.opened import opened
from go_state.inspector.serving.inspect import serve
from go_state.inspector.values.redaction import Redaction
from go_state.inspector.worlds.stores import HistoryWorld, StoreWorld
from go_state.inspector.worlds.world import World


@takes_where(without="set_aside")  # the page shows what was set aside, and does not pass over more
def inspect_history(
    given: Inspected,
    history: StoreOfProgram = None,
    *,
    where: Where,
    port: Port = 0,
    host: Host = "127.0.0.1",
    token: Token = None,
    redact: RedactPaths = None,
) -> None:
    """Serve a page on which every message of a store or file can be looked at, until Ctrl-C; with a program also every model."""
    target, place = (None, given) if history is None else (given, history)
    program = None if target is None else import_program(target)
    with ExitStack() as ends:
        world = _world(target, program, place, where, Redaction(redact or ()), ends)
        inspector = serve(world, None if target is None else _found_at(target), host=host, port=port, token=token)
        with inspector, suppress(KeyboardInterrupt):
            inspector.wait()


def _world(
    target: str | None, program: SomeProgram | None, history: str, where: Where, redaction: Redaction, ends: ExitStack
) -> World:
    """Return the journals of a store as they are, or the one history that the options name."""
    if not (kind_of(history) or where.key_of or where.store):
        store = ends.enter_context(open_store(history, where.schema, readonly=True))
        only = where.name or (None if where.key is None else where.prefix + where.key)
        if only is not None and only not in store.journal_names():
            raise UsageError(f"there is no journal {only!r} in {store.where}")
        return StoreWorld(store, program, prefix=where.prefix, only=only, called=target, redaction=redaction)
    if program is None:
        raise UsageError("a file of records is read as the messages of a program: give it as module:program before the file")
    found = ends.enter_context(asked(program, history, where))
    work = opened("inspect", program, found.history, **found.options)
    return HistoryWorld(work, called=target, redaction=redaction, is_file=bool(kind_of(history)))


def _found_at(target: str) -> tuple[str, str]:
    module, _, name = target.partition(":")
    return module, name
