"""The inspector: a page that travels in time through what a program has done, and beside one that runs.

    with gs.start(shop) as app, gs.inspect(app): ...          beside an app, or those of `start_keyed`; the address is printed
    go-state inspect shop.main:shop orders.lmdb               a store, a file of records, or any other history
    api.mount("/inspect", gs.inspector.asgi(app))             mounted in Starlette or FastAPI

Every message, what it changed and asked for, any moment again, the first message at which a condition is true, what would have
happened with other messages, and what a mended program makes of them. It reads only: nothing in the store or the app can be changed
by it, and no command is performed. Needs the extra `inspector`.

    serving/ ──▶ trying/ ──▶ worlds/ ──▶ looking/ ──▶ values/
    page/     what the browser runs: plain modules, without a build step; `vendor/` is fetched by `make vendor`

`values/`    a model or message as a bounded tree, and in what two differ
`looking/`   one history: its timeline, its messages, any moment
`worlds/`    where histories come from: a store, an app, apps of many keys
`trying/`    find, what if, your fix, and exports
`serving/`   HTTP: who may ask, the API, streams
"""

from go_state.inspector.serving.asgi import Application
from go_state.inspector.serving.inspect import Inspected, Inspector, asgi, inspect
from go_state.inspector.values.redaction import Redact

__all__ = ["Application", "Inspected", "Inspector", "Redact", "asgi", "inspect"]
