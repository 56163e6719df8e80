"""The command `go-state`: which commands there are, and how an error becomes a sentence and an exit code."""

from __future__ import annotations

import sys
import traceback

from go_state.core.errors import GoStateError, LeaseHeld, MissingExtra

try:
    from go_state.cli import inspect, parameters, snapshots
    from go_state.cli.care import erase, store
    from go_state.cli.dead import letters
    from go_state.cli.history import finding, models, replay
    from go_state.cli.journal import journals, messages
    from go_state.cli.output import fail
    from go_state.cli.positions import records as positions
except MissingExtra as error:
    sys.exit(str(error))

_FRAMES = 6  # of a traceback: the last ones, which are not those of the command itself

app = parameters.group("Look into the stores of go_state programs.")
_snapshots = parameters.group("Models as they were saved.")
_journal = parameters.group("Messages as they were put.")
app.add_typer(_snapshots, name="snapshots")
app.add_typer(_journal, name="journal")
_positions = parameters.group("How far sources were read.")
app.add_typer(_positions, name="positions")
_dead = parameters.group("What was set aside.")
app.add_typer(_dead, name="dead")
_store = parameters.group("A store as a whole.")
app.add_typer(_store, name="store")

_snapshots.command("list")(snapshots.list_snapshots)
_snapshots.command("show")(snapshots.show_snapshot)
_snapshots.command("export")(snapshots.export_snapshots)
_snapshots.command("check")(snapshots.check_snapshots)

_journal.command("list")(journals.list_journals)
_journal.command("show")(messages.show_journal)
_journal.command("export")(journals.export_journal)
_journal.command("import")(journals.import_journal)
_journal.command("truncate")(journals.truncate_journal)
_journal.command("skip")(journals.skip_message)

_dead.command("list")(letters.list_letters)
_dead.command("show")(letters.show_letter)
_dead.command("retry")(letters.retry_letters)
_dead.command("drop")(letters.drop_letters)
_dead.command("export")(letters.export_letters)

_positions.command("list")(positions.list_positions)
_positions.command("set")(positions.set_position)
_positions.command("reset")(positions.reset_position)

_store.command("info")(store.show_info)
_store.command("backup")(store.back_up)
_store.command("restore")(store.restore)
_store.command("compact")(store.compact)
_store.command("check")(store.check)

app.command("inspect")(inspect.inspect_history)
app.command("erase")(erase.erase)
app.command("replay")(replay.replay_history)
app.command("first")(finding.find_first)
app.command("compare")(finding.compare_programs)
app.command("verify")(finding.verify_history)
app.command("rebuild")(models.rebuild_models)
app.command("peek")(models.peek_at_model)
app.command("to-test")(models.write_test)


def main() -> None:
    """Run the command; an error of go_state, or of a file, is a sentence on standard error and the exit code 1.

    Every other error is one of the program that was given, and printed with its traceback.
    """
    try:
        app()
    except LeaseHeld as error:  # which tells a program to wait for it
        fail(
            f"error: the lease of the journal {error.name!r} is held by a program that is running: stop it, give the command again, and "
            f"start it afterwards; nothing was changed"
        )
    except GoStateError as error:
        fail("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]))
    except OSError as error:
        fail(f"error: {error.filename or 'a file'} cannot be read or written: {error.strerror or error}")
    except Exception as error:
        fail("".join(traceback.format_exception(error, limit=-_FRAMES)).removesuffix("\n"))
