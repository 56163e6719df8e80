"""Running programs, for annotations: an app, the parts of it that can be handed on, and the programs of many keys.

`gs.start` and `gs.start_keyed` make them; nothing here is called by hand.
"""

from go_state.modes.app.app import App
from go_state.modes.app.capabilities import AppStatistics, Reader, Sender, State, Watching
from go_state.modes.keyed_apps.keyed_app import KeyedApp
from go_state.modes.keyed_apps.keyed_apps import KeyedApps
from go_state.modes.keyed_apps.looking import KeyedStatistics, KeyStatistics
from go_state.runtime.observing.running import EffectState, RunningEffect

__all__ = [
    "App",
    "AppStatistics",
    "EffectState",
    "KeyStatistics",
    "KeyedApp",
    "KeyedApps",
    "KeyedStatistics",
    "Reader",
    "RunningEffect",
    "Sender",
    "State",
    "Watching",
]
