"""Processes that read a stream, and what befalls them: `kill -9`, SIGSTOP and SIGCONT, and an end that they are asked for."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import go_state as gs

_SECONDS = 60.0  # until everything was read, on a busy machine


class Workers:
    """As many processes of one command as there should be."""

    def __init__(self, script: Path, arguments: list[str], number: int, seed: int) -> None:
        self._command = [sys.executable, str(script), *arguments]
        self._chance = random.Random(seed)
        paths = [str(Path(gs.__file__).parents[1]), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        self._env = {**os.environ, "PYTHONPATH": ":".join(paths)}
        self.kills = self.stops = 0
        self.running = [self._begin() for _ in range(number)]
        self._stopped: list[subprocess.Popen[bytes]] = []

    def _begin(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, env=self._env)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    def check(self) -> None:
        """See to it that none has ended by itself."""
        assert [process.poll() for process in self.running] == [None] * len(self.running)

    def kill_one(self) -> None:
        """Kill one, and begin another."""
        process = self.running.pop(self._chance.randrange(len(self.running)))
        self._end(process, signal.SIGKILL)
        self.running.append(self._begin())
        self.kills += 1

    def stop_one(self) -> None:
        """Stop one, which goes on with `go_on` when others have what it held."""
        process = self.running.pop(self._chance.randrange(len(self.running)))
        process.send_signal(signal.SIGSTOP)
        self._stopped.append(process)
        self.stops += 1

    def go_on(self) -> None:
        """Let those that were stopped go on."""
        for process in self._stopped:
            process.send_signal(signal.SIGCONT)
        self.running += self._stopped
        self._stopped = []

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until it is done; all the while none may have ended by itself."""
        until = time.monotonic() + _SECONDS
        while not done():
            self.check()
            assert time.monotonic() < until, "it was not read to its end"
            time.sleep(0.1)  # between two looks, of which the number is limited by time

    def close(self) -> None:
        """End all: those that were asked to must end well."""
        self.go_on()
        codes = [self._end(process, signal.SIGTERM) for process in self.running]
        self.running = []
        assert codes == [0] * len(codes)

    def give_up(self) -> None:
        """Kill what is left."""
        for process in [*self.running, *self._stopped]:
            self._end(process, signal.SIGKILL)

    @staticmethod
    def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> int:
        process.send_signal(how)
        code = process.wait(60)
        assert process.stdout is not None
        process.stdout.close()
        return code


@contextmanager
def workers(script: Path, arguments: list[str], number: int, seed: int = 1) -> Iterator[Workers]:
    """Begin as many processes; none is left at the end."""
    crew = Workers(script, arguments, number, seed)
    try:
        yield crew
    finally:
        crew.give_up()
