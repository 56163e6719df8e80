"""The buffer keeps the contract that we export."""

from __future__ import annotations

from typing import Any

from go_state import Buffer
from go_state.retention import fixed, keep_all
from go_state.testing import BufferContract


class TestBuffer(BufferContract):
    def make(self) -> Buffer[Any]:
        return Buffer()


class TestBoundedBuffer(BufferContract):
    def make(self) -> Buffer[Any]:
        return Buffer(maxsize=100)


class TestBufferThatKeepsAll(BufferContract):
    def make(self) -> Buffer[Any]:
        return Buffer(retention=keep_all)


class TestFixedBuffer(BufferContract):
    def make(self) -> Buffer[Any]:
        return Buffer(retention=fixed(100, 50))
