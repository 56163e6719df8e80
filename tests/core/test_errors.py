"""Errors are values: each can be copied and pickled, and says nothing of what messages and models hold."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from go_state.core import errors

GIVEN = {
    "called": "run", "extra": "cli", "feature": "the command", "maxsize": 3, "missed": 2, "oldest": 7, "reason": "no", "key": "k",
    "expected": 1, "found": 2, "what": "a checksum", "name": "sales", "field": "count", "why": "it is gone", "path": "Model.x",
    "record": 4, "journal": True, "position": 5,
}  # fmt: skip


def every_error() -> list[type[errors.GoStateError]]:
    """Return the whole tree, root included."""
    tree, seen = [errors.GoStateError], []
    while tree:
        seen.append(kind := tree.pop())
        tree += kind.__subclasses__()
    return seen


def made(kind: type[errors.GoStateError]) -> errors.GoStateError:
    """Return an error of the class, with a value for each parameter and a note."""
    takes = inspect.signature(kind).parameters if inspect.isfunction(kind.__init__) else None
    error = kind("a text") if takes is None else kind(**{name: GIVEN.get(name, name) for name in takes})
    error.add_note("at position 5")
    return error


@pytest.mark.parametrize(
    "again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy, copy.deepcopy], ids=["pickle", "copy", "deep"]
)
@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_comes_back_equal(kind: type[errors.GoStateError], again: Callable[[object], object]) -> None:
    """Pickled or copied, it has its class, text, attributes and notes."""
    error = made(kind)
    back = again(error)
    assert back == error
    assert hash(back) == hash(error)
    assert (type(back), str(back), vars(back)) == (kind, str(error), vars(error))
    assert back is not error


def test_errors_that_say_something_else_are_not_equal() -> None:
    """Of one class with other attributes, of another class, or no error of go_state at all."""
    assert errors.Conflict("k", 1, 2) != errors.Conflict("k", 1, 3)
    assert errors.Closed("x") != errors.Empty("x")
    assert errors.Closed("x") != "x"


def raise_conflict() -> None:
    raise errors.Conflict("k", 1, 2)


def test_an_error_leaves_a_process_pool_as_it_is() -> None:
    """What a worker raises reaches whoever asked for it, and the pool goes on."""
    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
        with pytest.raises(errors.Conflict) as caught:
            pool.submit(raise_conflict).result(60)
        assert caught.value == errors.Conflict("k", 1, 2)
        assert pool.submit(len, "four").result(60) == 4


def test_a_lost_race_says_what_was_counted() -> None:
    """A key has versions, a journal positions."""
    assert "key 'k' is at version 2, not 1" in str(errors.Conflict("k", 1, 2))
    assert "the journal 'k' ends at position 2, not 1" in str(errors.Conflict("k", 1, 2, journal=True))
