"""Observing: how the events of `go_state/observe` come about. A run without observers imports nearly nothing of this.

    turn ──▶ Turns ──┐
    effect ──▶ Commands ──┼──▶ Observers: on_event of each, and a warning for one that raises
    store, subscriptions ─┘

    observers     who is told, in all the runs of one call
    observation   what one run tells: of itself, its store and its subscriptions
    turns         its turns, and for tracers the context of their senders
    commands      its commands, from the launch to the end
    senders       the context that tracers take from the senders of an app
    running       those that go on at one moment, for `app.effects()`, which needs no observer

`Loop`, `Lifecycle` and their like call these where something has happened. Turns are observed by an iterator that is put around each
chunk of messages, and so the loop takes not one step more for it.
"""
