"""The options of a run: explained once, checked in one place, and frozen from there on."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import go_state as gs
from go_state.modes import options as given
from go_state.modes.settings import check_names, durable_settings, run_settings

COUNTER = gs.reducer(int, lambda model, message: model + message)
CLASSES = [each for each in vars(given).values() if isinstance(each, type) and hasattr(each, "__total__")]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_keyword_is_explained(kind: Any) -> None:
    """The docstring of an option class, or of one whose keywords it takes over, speaks of each of its keywords."""
    explaining = [each.__doc__ or "" for each in CLASSES if each.__annotations__.keys() <= kind.__annotations__.keys()]
    assert [word for word in kind.__annotations__ if not any(f"`{word}" in text for text in explaining)] == []


@pytest.mark.parametrize(
    ("call", "teaches"),
    [
        (lambda: gs.run(COUNTER, gs.Buffer(), onerror=1), r"run has no argument onerror \(did you mean on_error\?\)"),  # type: ignore[call-arg]
        (lambda: gs.start(COUNTER, stor=1), r"start has no argument stor \(did you mean store\?\)"),  # type: ignore[call-arg]
        (lambda: gs.start_keyed(COUNTER, key="k"), r"start_keyed has no argument key"),  # type: ignore[call-arg]
        (lambda: gs.batch(COUNTER, [], limits=1), r"batch has no argument limits \(did you mean limit\?\)"),  # type: ignore[call-arg]
        (
            lambda: gs.aggregate(COUNTER, [], store=gs.MemoryStore(), key="k", retired=1),  # type: ignore[call-overload]
            r"aggregate has no argument retired \(did you mean retire\?\): it has store, key, on_error",
        ),
    ],
)
def test_an_unknown_keyword_is_told_the_right_one(call: Any, teaches: str) -> None:
    with pytest.raises(gs.UsageError, match=teaches):
        call()


def test_names_are_those_of_all_the_classes_given() -> None:
    check_names("f", {"env": 1, "links": 2, "own": 3}, given.Options, given.AggregateOptions, own=("own",))


def test_settings_cannot_be_changed() -> None:
    settings = run_settings({"env": 1})
    assert settings.resources.env == 1
    assert settings.on_error == gs.Raise()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.on_error = gs.SetAside()  # type: ignore[misc]


def test_a_journal_knows_its_store_and_its_name(tmp_path: Path) -> None:
    """A run that is given neither takes both from its buffer; a run without any of it is not durable."""
    with gs.LMDBStore(tmp_path / "s") as store:
        journal = store.journal("j", of=int)
        settings = durable_settings(journal, {"snapshots": gs.Snapshots(every=3)})
        assert settings is not None
        assert (settings.store, settings.key, settings.snapshots.every) == (store, "j", 3)
        assert durable_settings(gs.Buffer(), {}) is None


@pytest.mark.parametrize(
    ("options", "teaches"),
    [
        ({"store": 1, "key": "k"}, "kept in an open gs.LMDBStore"),
        ({"key": "k"}, "has both a store= and a key="),
        ({"store": "s", "key": 1}, "key= is the name"),
        ({"store": "s", "key": "k", "snapshots": 1}, "snapshots= is a gs.Snapshots"),
        ({"store": "s", "key": "k", "retention": 1}, "retention= is a gs.Retain"),
        ({"store": "s", "key": "k", "restore": -1}, "restore= is the position"),
        ({"store": "s", "key": "k", "on_error": gs.Raise}, "on_error is gs.Raise()"),
        ({"store": "s", "key": "k", "effects": 1}, "effects= is a gs.Effects"),
    ],
)
def test_values_that_do_not_fit(tmp_path: Path, options: dict[str, Any], teaches: str) -> None:
    with gs.LMDBStore(tmp_path / "s") as store, pytest.raises(gs.UsageError, match=teaches):
        gs.run(COUNTER, **(options | ({"store": store} if options.get("store") == "s" else {})))
