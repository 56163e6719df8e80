"""What a watched run adds to a moment: how long its turn took, what came of its commands, and which command has sent its message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from go_state.inspector.looking.known import UNFINISHED, EffectStory
from go_state.inspector.values.text import shown
from go_state.inspector.worlds.world import Now, SomeSubject

if TYPE_CHECKING:
    from go_state.runtime.observing.running import RunningEffect

_OVER = ("failed", "ended")  # states of a program of which nothing goes on


def add_known(moment: dict[str, object], subject: SomeSubject, position: int, now: Now | None) -> None:
    """Add it; `recorded` says whether the turn was watched."""
    known = subject.known
    turn, commands = moment["turn"], moment["commands"]
    assert isinstance(turn, dict)  # as `Shown.moment` has made it
    assert isinstance(commands, list)
    stories = {story.id: story for story in known.effects(position)}
    running = {} if now is None else {each.id: each for each in now.effects}
    for command in commands:
        name = command["effect_id"]
        if (story := stories.pop(name, None)) is not None:
            command.update(_told(story, subject, is_over=now is not None and now.state in _OVER))
        elif (effect := running.get(name)) is not None:
            command.update(_running(effect))
    for story in stories.values():  # what a `seq` has begun later
        told = _told(story, subject, is_over=now is not None and now.state in _OVER)
        text = shown(story.function, 80)
        commands.append({"text": text, "name": text, "effect_id": shown(story.id, 200), "key": None, "result": None, **told})
    sender = known.origin(position)
    turn["seconds"] = known.seconds(position)
    moment["recorded"] = known.has(position)
    moment["from"] = None if sender is None else {"position": sender[0], "name": shown(sender[1], 80)}


def _told(story: EffectStory, subject: SomeSubject, *, is_over: bool) -> dict[str, object]:
    """Return what the page is told of an effect."""
    state = "cancelled" if is_over and story.state in UNFINISHED else story.state
    said = f"{story.error}: {story.said}" if story.error and story.said and subject.redaction.is_empty else story.error
    return {
        "state": state,
        "tries": story.tries,
        "seconds": story.seconds,
        "error": None if said is None else shown(said, 1000),
        "entered": list(story.entered),
    }


def _running(effect: RunningEffect) -> dict[str, object]:
    return {"state": effect.state, "tries": effect.tries}
