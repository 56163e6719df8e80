"""The leases of all journals of one file: each a lock on one byte of one of a few files beside it.

    LeaseLocks.lease(name) ──▶ ByteLease ──▶ the file and the byte that the name's digest says ──▶ F_OFD_SETLK, Linux's lock of an open file

A file for each journal, as other systems need it (`file_lease.py`), costs the first start of a program more than all the rest, and each
program that runs a file descriptor, of which a process often has 1,024.

Such a lock belongs to the open file, not to a thread or a process, so what this process holds is counted here. The system takes it
back when the process dies. A forked child has the same open file: it closes it, and unlocks nothing.
"""

from __future__ import annotations

import os
import struct
import threading
from hashlib import blake2b
from typing import BinaryIO

from go_state.core.errors import StoreUnavailable
from go_state.storage.backends.lmdb.leases.file_lease import why_not
from go_state.storage.records.lease import IfHeld, LeaseWait, check_if_held, wait_for_lock

# The system goes through all locks of a file for each that is taken: 10 us with 1,000 of them, and 370 us with 10,000.
_FILES = 16
_FLOCK = "hhqqi4x"  # C's struct flock: what to do, from where to count, the first byte, how many, 0


class LeaseLocks:
    """The leases of all journals of the store at `path`."""

    def __init__(self, path: str) -> None:
        self._files = tuple(LockFile(f"{path}-owners-{number:x}") for number in range(_FILES))

    def lease(self, name: str) -> ByteLease:
        """Return the lease of the journal of this name, which is not held yet."""
        digest = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big")
        return ByteLease(self._files[digest % _FILES], name, digest >> 4)  # an offset has 63 bits

    def after_fork_in_child(self) -> None:
        """In a forked child: let go of the open files. The leases are the parent's."""
        for file in self._files:
            file.after_fork_in_child()


class LockFile:
    """The locks that this process has on bytes of the file at `path`, which is open while there are any, and never deleted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()  # guards the two below; a finalizer may give a lease back in the middle of them
        self._file: BinaryIO | None = None
        self._held: dict[int, object] = {}  # by byte, the lease that has it, or is about to
        self._process = os.getpid()

    def has(self, byte: int, lease: object) -> bool:
        """Return whether this lease has the lock on the byte."""
        return self._held.get(byte) is lease

    def take(self, byte: int, lease: object) -> bool:
        """Lock the byte for the lease, and return whether it has it; False if another one, here or elsewhere, has. Raises `OSError`."""
        with self._lock:
            if byte in self._held:
                return self._held[byte] is lease
            is_taken = False
            self._held[byte] = lease  # first: what Ctrl-C interrupts is given back
            try:
                if self._file is None or self._file.closed:
                    self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open as long as a lease is held
                is_taken = _locked(self._file.fileno(), byte)
            finally:
                if not is_taken:
                    self._give_back(byte)
            return is_taken

    def give_back(self, byte: int, lease: object) -> None:
        """Unlock the byte, if the lease has it."""
        if self._process != os.getpid():
            self.after_fork_in_child()
            return
        with self._lock:
            if self._held.get(byte) is lease:
                self._give_back(byte)

    def _give_back(self, byte: int) -> None:
        if self._file is not None and len(self._held) > 1:
            _unlock(self._file.fileno(), byte)
        elif self._file is not None:
            self._file.close()  # which unlocks whatever is left; a second time is harmless
            self._file = None
        del self._held[byte]

    def after_fork_in_child(self) -> None:
        """In a forked child: let go of the open file. To unlock a byte of it would unlock it for the parent too."""
        file, self._file = self._file, None
        self._held, self._lock, self._process = {}, threading.RLock(), os.getpid()
        if file is not None:
            file.close()


class ByteLease:
    """The lease of one journal: a lock on its byte, held from `acquire` to `release`."""

    def __init__(self, file: LockFile, name: str, byte: int) -> None:
        self._file = file
        self._name = name
        self._byte = byte

    @property
    def token(self) -> bytes:
        """Nothing: the system takes the lock from the dead alone."""
        return b""

    def acquire(self, if_held: IfHeld = "fail", given_up: LeaseWait | None = None) -> bool:
        """Take the lease, as every `Lease` does."""
        check_if_held(if_held)
        return self._file.has(self._byte, self) or wait_for_lock(self._try, self._name, if_held, given_up)

    def _try(self) -> bool:
        try:
            return self._file.take(self._byte, self)
        except OSError as error:
            raise StoreUnavailable(why_not(self._file.path, error)) from error

    def release(self) -> None:
        """Give the lease back; a second time is harmless."""
        self._file.give_back(self._byte, self)


def is_possible() -> bool:
    """Return whether the system has locks that belong to an open file, on bytes of it."""
    try:
        from fcntl import F_OFD_SETLK  # noqa: F401
    except ImportError:
        return False
    return True


def _locked(file: int, byte: int) -> bool:
    import fcntl

    try:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):  # POSIX allows both
        return False
    return True


def _unlock(file: int, byte: int) -> None:
    import fcntl

    fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, byte, 1, 0))
