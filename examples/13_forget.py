"""Forget a person: what she has said is taken out of the journal, the snapshots and the file; everything else is as it was."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import go_state as gs


@dataclass(frozen=True)
class Said:
    who: str
    text: str


@dataclass(frozen=True)
class Board:
    lines: tuple[Said, ...] = ()
    counted: int = 0


def update(model: Board, msg: Said) -> gs.Step[Board, Said]:
    return replace(model, lines=(*model.lines, msg)[-100:], counted=model.counted + 1), ()


board = gs.Program(lambda: (Board(), ()), update, name="board")


def forgotten(entry: Any) -> Said | None:
    """Return what is to lie in a message's place: None empties it, another message replaces it."""
    said: Said = entry.message
    if said.who == "ann":
        return None
    return replace(said, text=said.text.replace("ann", "someone")) if "ann" in said.text else said


def main(folder: Path) -> None:
    path = folder / "board.lmdb"
    with gs.LMDBStore(path) as store:
        with gs.start(board, store=store, key="board", snapshots=gs.Snapshots(every=2, keep=3)) as app:
            for said in [Said("bob", "hi ann"), Said("ann", "my number is 5550123"), Said("cat", "hello"), Said("ann", "bye")]:
                app.send(said)
        journal = store.journal("board")
        before = gs.load_model(board, store=store, key="board")
        assert before is not None
        print("before:", before.counted, b"5550123" in path.read_bytes())

        # The program must not run meanwhile. Interrupted at any moment it is the old or the new, and no command is performed again.
        done = gs.history.rewrite(board, journal, forgotten)
        print(f"{done.emptied} messages emptied, {done.replaced} replaced")
        store.compact()  # the file is written anew: until then the bytes are in its free pages

        model = gs.load_model(board, store=store, key="board")
        assert model is not None
        print("after:", [f"{said.who}: {said.text}" for said in model.lines], b"5550123" in path.read_bytes())
        print("verified:", gs.verify(board, journal).ok)
        # What backups, logs and other systems have of her is yours to delete.


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
