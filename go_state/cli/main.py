"""The command `go-state`: which commands there are, and how an error becomes a sentence and an exit code."""

from __future__ import annotations

import sys
import traceback

from go_state.core.errors import GoStateError, MissingExtra

try:
    from go_state.cli import inspect, parameters, snapshots
    from go_state.cli.care import erase, store
    from go_state.cli.dead import letters
    from go_state.cli.history import finding, models, replay
    from go_state.cli.journal import journals, messages
    from go_state.cli.output import fail
    from go_state.cli.positions import records as positions
    from go_state.cli.telling.errors import in_options, tell_error
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

for group, name, command in (
    (_snapshots, "list", snapshots.list_snapshots),
    (_snapshots, "show", snapshots.show_snapshot),
    (_snapshots, "export", snapshots.export_snapshots),
    (_snapshots, "check", snapshots.check_snapshots),
    (_journal, "list", journals.list_journals),
    (_journal, "show", messages.show_journal),
    (_journal, "export", journals.export_journal),
    (_journal, "import", journals.import_journal),
    (_journal, "truncate", journals.truncate_journal),
    (_journal, "skip", journals.skip_message),
    (_dead, "list", letters.list_letters),
    (_dead, "show", letters.show_letter),
    (_dead, "retry", letters.retry_letters),
    (_dead, "drop", letters.drop_letters),
    (_dead, "export", letters.export_letters),
    (_positions, "list", positions.list_positions),
    (_positions, "set", positions.set_position),
    (_positions, "reset", positions.reset_position),
    (_store, "info", store.show_info),
    (_store, "backup", store.back_up),
    (_store, "restore", store.restore),
    (_store, "compact", store.compact),
    (_store, "check", store.check),
    (app, "inspect", inspect.inspect_history),
    (app, "erase", erase.erase),
    (app, "replay", replay.replay_history),
    (app, "first", finding.find_first),
    (app, "compare", finding.compare_programs),
    (app, "verify", finding.verify_history),
    (app, "rebuild", models.rebuild_models),
    (app, "peek", models.peek_at_model),
    (app, "to-test", models.write_test),
):
    group.command(name)(in_options(command))


def main() -> None:
    """Run the command; an error of go_state, or of a file, is a sentence on standard error and the exit code 1.

    Every other error is one of the program that was given, and printed with its traceback.
    """
    try:
        app()
    except GoStateError as error:  # of the command line itself; those of a command have been told
        tell_error(error, {})
    except OSError as error:
        fail(f"error: {error.filename or 'a file'} cannot be read or written: {error.strerror or error}")
    except Exception as error:
        fail("".join(traceback.format_exception(error, limit=-_FRAMES)).removesuffix("\n"))
