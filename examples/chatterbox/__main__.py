"""Run the chat: `python -m examples.chatterbox [--port 8000] [--store chat.lmdb]`, then open http://127.0.0.1:8000."""

from __future__ import annotations

import argparse

import uvicorn

import go_state as gs

from .server import LONGEST_FRAME, make_app


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8000)
    arguments.add_argument("--store", help="keep the channels in this file")
    given = arguments.parse_args()
    store = gs.LMDBStore(given.store) if given.store else None
    try:
        uvicorn.run(make_app(store), host="127.0.0.1", port=given.port, log_level="warning", ws_max_size=4 * LONGEST_FRAME)
    finally:
        if store is not None:
            store.close()


if __name__ == "__main__":
    main()
