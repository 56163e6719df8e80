"""Parts of an app: each can do what it is for, and has no way to the rest."""

from __future__ import annotations

import go_state as gs

program: gs.Program[int, int] = gs.Program(lambda: (0, ()), lambda model, msg: (model + msg, [gs.Cmd.reply(model)]))


def test_parts_do_what_they_are_for() -> None:
    """A reader looks, a sender sends and waits, a watcher watches; none of them can stop the app."""
    with gs.start(program) as app:
        reader, sender, watcher = app.reader(), app.sender(), app.watcher()
        sender.send(1)
        assert (sender.apply(2), sender.ask(3)) == (3, 3)
        assert (reader.model, reader.version, reader.state, reader.statistics().processed) == (6, 4, "ready", 3)
        with watcher.watch() as models:
            assert models.get(1) == 6
        reads = {name for name in dir(reader) if not name.startswith("_")}
        rights = {*reads, *sender._fields, *watcher._fields}
        assert rights.isdisjoint({"stop", "wait", "app"})
        assert reads.isdisjoint(sender._fields)


def test_two_consumers_that_set_at_once_do_not_deadlock() -> None:
    """A watcher that sends from its own loop, while another does so too, holds up nobody: three hundred turns come through."""
    import threading

    def consumer(app: gs.App[int, int]) -> None:
        for model in app.watch():
            if model < 300:
                try:
                    app.apply(1, timeout=20)
                except gs.Closed:
                    return

    with gs.start(program) as app:
        threads = [threading.Thread(target=consumer, args=(app,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        app.watch().get(20, where=lambda model: model >= 300)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
