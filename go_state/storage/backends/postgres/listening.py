"""Listening: readers are woken when another process has written to their journal."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from go_state.core.errors import GoStateError, StoreUnavailable
from go_state.storage.backends.postgres.connections import BoundedConnection, Server
from go_state.storage.backends.postgres.driver import psycopg

_log = logging.getLogger("go_state")
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds between two tries to connect again
_QUESTION = (
    5.0  # seconds without a notice after which the server is asked whether it still answers, and seconds that it has for that
)


class Listening:
    """A thread that receives notices of journals that have grown, on a connection that it makes again whenever it is lost.

    If no notice comes for a while it asks the server whether it is still there. A standby server sends no notices: then every
    journal that is followed counts as grown each time.
    """

    def __init__(self, server: Server, schema: str) -> None:
        self._server = server
        self._schema = schema
        self._lock = threading.Lock()  # guards the one below
        self._followers: dict[str, list[Callable[[], object]]] = {}
        self._closed = False
        self._woken, self._wakes = socket.socketpair()  # wakes the thread to end
        self._thread = threading.Thread(target=self._listen, name="go_state listen", daemon=True)
        self._ready = threading.Event()
        self._thread.start()
        self._ready.wait()

    def follow(self, journal: str, grown: Callable[[], object]) -> Callable[[], object]:
        """Call `grown` in the thread whenever the journal may have grown; return what ends that."""
        with self._lock:
            self._followers.setdefault(journal, []).append(grown)

        def end() -> None:
            with self._lock, suppress(ValueError):
                self._followers.get(journal, []).remove(grown)

        return end

    def close(self) -> None:
        """End the thread and its connection."""
        self._closed = True
        self._wakes.send(b"!")
        if self._thread is not threading.current_thread():
            self._thread.join()
        self._woken.close()
        self._wakes.close()

    def _listen(self) -> None:
        wait = _FIRST_WAIT
        while not self._closed:
            try:
                limit = min(_QUESTION, self._server.timeout)
                with self._server.connect(monotonic() + limit, patient=False) as connection:
                    connection.limit = limit
                    notified = self._ask_for_notices(connection)
                    wait = _FIRST_WAIT
                    self._call_all()  # for the notices that were missed
                    self._ready.set()
                    self._receive(connection, notified)
            except Exception as error:  # whatever it is, it is over once a connection is made again
                if wait == _FIRST_WAIT and not self._closed:  # once for each loss, by its kind: its words may hold a password
                    kind = type(error).__name__
                    _log.warning("%s is not heard, connecting again: readers wait until then (%s)", self._server.where, kind)
                self._server.forget()  # if this one was lost, others were: woken readers would wait for their answers
                self._ready.set()
                self._is_ready([self._woken], wait)
                wait = min(wait * 2, _LONGEST_WAIT)

    def _ask_for_notices(self, connection: BoundedConnection) -> bool:
        try:
            connection.execute(f"LISTEN {channel_of(self._schema)}".encode())
        except psycopg.errors.ReadOnlySqlTransaction:
            return False
        return True

    def _receive(self, connection: BoundedConnection, notified: bool) -> None:
        while not self._closed:
            if not self._is_ready([connection, self._woken], _QUESTION):
                connection.execute("SELECT 1")
                if not notified:
                    self._call_all()
            for journal in {said.payload for said in connection.notifies(timeout=0)}:
                self._call(_journal_of(journal))
            if connection.closed or connection.broken:
                raise StoreUnavailable(f"{self._server.where} has hung up")

    @staticmethod
    def _is_ready(files: list[BoundedConnection | socket.socket], seconds: float) -> bool:
        """Wait up to `seconds` until one of them can be read, and return whether one can."""
        with selectors.DefaultSelector() as selector:
            for file in files:
                selector.register(file, selectors.EVENT_READ)
            return bool(selector.select(seconds))

    def _call_all(self) -> None:
        for journal in tuple(self._followers):
            self._call(journal)

    def _call(self, journal: str) -> None:
        with self._lock:
            followers = list(self._followers.get(journal, ()))
        for grown in followers:
            try:
                grown()
            except StoreUnavailable:
                raise  # it is called again once a connection is made: nothing else would wake the reader
            except (
                GoStateError
            ) as error:  # such as a journal that was closed or damaged meanwhile: its reader finds out by itself
                _log.warning(
                    "the journal %r of %s has grown and could not be read (%s)",
                    journal,
                    self._server.where,
                    type(error).__name__,
                )


def channel_of(schema: str) -> str:
    """Return the channel on which a store says which journal has grown."""
    return f"go_state_{schema}"


def payload_of(journal: str) -> str:
    """Return the text of a journal's notice: letters that a database in every encoding can send."""
    return journal.encode().hex()


def _journal_of(payload: str) -> str:
    """Return the journal of a notice; an empty string for a notice of another program."""
    try:
        return bytes.fromhex(payload).decode()
    except ValueError:
        return ""
