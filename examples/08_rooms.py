"""One program for each key: a counter of words for each room, begun when it is used, at rest when not, and kept in a store."""

from __future__ import annotations

from dataclasses import dataclass, replace

import go_state as gs


@dataclass(frozen=True, slots=True)
class Room:
    name: str
    words: int = 0


def init(name: str) -> gs.Step[Room, str]:
    return Room(name), ()


def update(model: Room, msg: str) -> gs.Step[Room, str]:
    return replace(model, words=model.words + len(msg.split())), ()


room = gs.Program(init, update, name="room")


def main(path: str = "rooms.lmdb") -> None:
    for day in ("monday", "tuesday"):
        with gs.LMDBStore(path) as store, gs.start_keyed(room, store=store, idle=60, limit=1000) as rooms:
            rooms["lobby"].send("hello", "is anybody here")
            rooms["kitchen"].send("the kettle is on")
            print(day, rooms["lobby"].apply("good bye", timeout=10), rooms["kitchen"].apply("tea", timeout=10))


if __name__ == "__main__":
    main()
