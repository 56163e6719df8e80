"""Watching: values of which everybody sees the newest, and nobody a backlog."""

from go_state.watch.fanout import fanout
from go_state.watch.fields import ANY, Change, Changes
from go_state.watch.throttle import throttle
from go_state.watch.value import Value, select
from go_state.watch.watcher import Watcher

__all__ = ["ANY", "Change", "Changes", "Value", "Watcher", "fanout", "select", "throttle"]
