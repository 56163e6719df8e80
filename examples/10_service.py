r"""A shop behind FastAPI: bodies are messages, an idempotency key counts once, a websocket shows the
model, SIGTERM loses nothing.

`python examples/10_service.py 8080 shop.lmdb`, then

    curl -X POST localhost:8080/orders -H 'Idempotency-Key: a1' \
        -H 'Content-Type: application/json' -d '{"item": "tea", "count": 2}'
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

import uvicorn
from fastapi import FastAPI, Header, HTTPException, WebSocket, WebSocketDisconnect
from immutables import Map
from pydantic import BaseModel, Field

import go_state as gs

REMEMBERED = 10_000  # idempotency keys: a client that tries again does so within minutes


class Order(BaseModel, frozen=True):
    item: str = Field(min_length=1)
    count: int = Field(gt=0)


class Ordered(BaseModel, frozen=True):
    """What is sent to the program: the body, and the key under which it counts once."""

    order: Order
    key: str


class Receipt(BaseModel, frozen=True):
    number: int
    item: str
    left: int


class Shop(BaseModel, frozen=True, arbitrary_types_allowed=True):
    stock: Map[str, int] = Map({"tea": 5, "cake": 2})
    receipts: int = 0
    answers: Map[str, Receipt] = Map()  # by idempotency key
    recent: tuple[str, ...] = ()  # the keys, the oldest first


def init() -> gs.Step[Shop, Ordered]:
    return Shop(), ()


def update(model: Shop, msg: Ordered) -> gs.Step[Shop, Ordered]:
    order, answered = msg.order, model.answers.get(msg.key)
    if answered is not None:
        return model, [gs.Cmd.reply(answered)]  # the same answer, and nothing is counted twice
    left = model.stock.get(order.item, 0) - order.count
    if left < 0:
        return model, [gs.Cmd.reply(None)]  # not remembered: it may be tried again when there is more
    receipt = Receipt(number=model.receipts + 1, item=order.item, left=left)
    answers, recent = model.answers.set(msg.key, receipt), (*model.recent, msg.key)
    if len(recent) > REMEMBERED:
        answers, recent = answers.delete(recent[0]), recent[1:]
    stock = model.stock.set(order.item, left)
    changed = {"stock": stock, "receipts": receipt.number, "answers": answers, "recent": recent}
    return model.model_copy(update=changed), [gs.Cmd.reply(receipt)]


shop = gs.Program(init, update, name="shop")


async def end_with(app: gs.App[Shop, Ordered]) -> None:
    """Wait until the app has ended; if it has failed, end the process too: its supervisor starts it again."""
    try:
        await app.wait_async()
    except Exception:
        os.kill(os.getpid(), signal.SIGTERM)  # uvicorn ends; leaving the app's block raises the failure


def make_api(path: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        # Leaving the blocks, as after SIGTERM, takes what is queued through its turns and saves:
        # uvicorn waits for it.
        async with AsyncExitStack() as stack:
            store = stack.enter_context(gs.LMDBStore(path))
            try:
                starting = gs.start_async(shop, store=store, key="shop", durability="put")
                api.state.app = await stack.enter_async_context(starting)
            except gs.errors.LeaseHeld:  # as with `uvicorn --workers 2`: each process has the whole program
                why = f"{path} is served by another process: start one worker, and only one"
                raise RuntimeError(why) from None
            watching = asyncio.create_task(end_with(api.state.app))
            yield
        await watching

    api = FastAPI(lifespan=lifespan)

    @api.post("/orders")
    async def post(order: Order, idempotency_key: Annotated[str, Header()]) -> Receipt:
        # The answer comes once the order is on disk; after a lost answer the same key gets the same one.
        ordered = Ordered(order=order, key=idempotency_key)
        receipt: Receipt | None = await api.state.app.ask_async(ordered, timeout=5)
        if receipt is None:
            raise HTTPException(409, "there is not enough left")
        return receipt

    @api.websocket("/stock")
    async def stock(socket: WebSocket) -> None:
        await socket.accept()

        async def show() -> None:
            async for model in api.state.app.watch(every=0.05):  # the newest, however slow the client is
                await socket.send_json(dict(model.stock))

        async with asyncio.TaskGroup() as tasks:
            showing = tasks.create_task(show())
            try:
                await socket.receive_text()  # nothing is expected: it sees the client, or uvicorn, close
            except WebSocketDisconnect:
                pass
            finally:
                showing.cancel()

    return api


if __name__ == "__main__":
    port, path = int(sys.argv[1]), sys.argv[2]
    uvicorn.run(make_api(path), host="127.0.0.1", port=port, log_level="warning", timeout_graceful_shutdown=5)
