"""A put that wants to know its position, by a signal handler that has interrupted its thread where it holds the log's lock."""

from __future__ import annotations

import threading

import go_state as gs


def test_a_put_under_the_log_s_own_lock_enters_and_does_not_wait() -> None:
    """Nobody else could give the lock back; what it wanted to know is left out."""
    buffer: gs.Buffer[int] = gs.Buffer()
    known: list[int] = []

    def interrupted() -> None:
        with buffer.log.lock:
            buffer.log.put_known(1, known.append, 2)

    thread = threading.Thread(target=interrupted, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    buffer.log.put_known(3, known.append)
    buffer.close()
    with buffer.consumer() as consumer:
        assert [consumer.get(), consumer.get(), consumer.get()] == [1, 2, 3]
    assert known == [2]
