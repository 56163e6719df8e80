"""The bot's program: what it hears, remembers and says, and when it tries to connect again. It knows no network."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import go_state as gs

HELP = "name++ and name-- give and take karma; karma [name]; remind me in 1h30m <text>; reminders; help"
MOST_REMINDERS = 20  # of one person
LONGEST_TEXT = 300  # characters of a reminder
LINE_BYTES = 400  # an IRC message has 512 with everything around the text (RFC 2812, 2.3)
SAY_TIMEOUT = 15.0
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Network(Protocol):
    """The outside world, as a run is given it by `env=`."""

    def events(self) -> AsyncIterator[Heard | Joined]:
        """Connect, and give what happens until the connection is lost, which raises `OSError`."""
        ...

    async def say(self, target: str, text: str) -> None:
        """Return when the server has taken the line; `OSError` where it has not."""
        ...


# ---------------------------------------------------------------------- the model


@dataclass(frozen=True)
class Reminder:
    number: int
    nick: str
    target: str
    due: float
    text: str


@dataclass(frozen=True)
class Line:
    number: int
    target: str
    text: str


@dataclass(frozen=True)
class Backoff:
    """How long to wait before the next try to connect: so many seconds at first, then twice as long each time."""

    first: float = 1.0
    longest: float = 300.0


@dataclass(frozen=True)
class Flood:
    """How fast it may speak: each line counts so many seconds, and it may be so many ahead (RFC 1459, 8.10)."""

    line: float = 2.0
    ahead: float = 10.0


@dataclass(frozen=True)
class Bot:
    karma: tuple[tuple[str, int], ...] = ()
    reminders: tuple[Reminder, ...] = ()
    outbox: tuple[Line, ...] = ()  # what is to be said, until the server has it
    saying: int | None = None  # the number of the line that is on its way
    penalty_until: float = 0.0  # when all that was said is paid for
    may_speak_at: float = 0.0
    joined: bool = False
    tries: int = 0  # to connect, since it last succeeded
    next_try: float | None = None
    next_number: int = 1


# ---------------------------------------------------------------------- the messages


@dataclass(frozen=True)
class Heard:
    """Somebody has said something: in a channel, or to the bot alone, then `target` is who."""

    target: str
    nick: str
    text: str


@dataclass(frozen=True)
class Joined:
    """The bot is in its channels."""


@dataclass(frozen=True)
class Lost:
    why: str


@dataclass(frozen=True)
class TryAgain:
    pass


@dataclass(frozen=True)
class Said:
    number: int


@dataclass(frozen=True)
class NotSaid:
    number: int
    why: str


@dataclass(frozen=True)
class Speak:
    """It is time for the next line."""


@dataclass(frozen=True)
class Due:
    number: int


Msg = Heard | Joined | Lost | TryAgain | Said | NotSaid | Speak | Due


# ---------------------------------------------------------------------- the program


def make_bot(backoff: Backoff = Backoff(), flood: Flood = Flood()) -> gs.Program[Bot, Msg]:
    """Return the program."""

    def update(model: Bot, msg: Msg, turn: gs.Turn) -> gs.Step[Bot, Msg]:
        match msg:
            case Heard(target, nick, text):
                model = answer(model, target, nick, text, turn.at)
            case Joined():
                model = replace(model, joined=True, saying=None, tries=0)
            case Lost():
                wait = min(backoff.first * 2**model.tries, backoff.longest) * (0.5 + turn.random() / 2)
                model = replace(model, joined=False, saying=None, tries=min(model.tries + 1, 30), next_try=turn.at + wait)
            case TryAgain():
                model = replace(model, next_try=None)
            case Said(number):
                left = tuple(line for line in model.outbox if line.number != number)
                model = replace(model, outbox=left, saying=None if model.saying == number else model.saying)
            case NotSaid(number):  # it stays in the outbox, for when the bot is back
                model = replace(model, joined=False, saying=None) if model.saying == number else model
            case Speak():
                pass
            case Due(number):
                model = remind(model, number)
        return speak(model, turn.at, flood)

    return gs.Program(lambda: (Bot(), ()), update, subscriptions=subscriptions, name="irc-bot")


def subscriptions(model: Bot) -> Sequence[gs.Sub[Msg]]:
    """Say what the bot waits for: its connection or the next try, its reminders, and its turn to speak."""
    wanted: list[gs.Sub[Msg]] = []
    if model.next_try is None:
        wanted.append(gs.Sub.stream(listen, key=("network", model.tries)))
    else:
        wanted.append(gs.Sub.at(model.next_try, TryAgain()))
    if model.joined and model.outbox and model.saying is None:
        wanted.append(gs.Sub.at(model.may_speak_at, Speak()))
    wanted += [gs.Sub.at(each.due, Due(each.number)) for each in model.reminders]
    return wanted


async def listen() -> AsyncIterator[Msg]:
    """Give what happens on the network, and at last that it is lost."""
    try:
        async for event in gs.env(Network).events():
            yield event
        yield Lost("closed")
    except OSError as error:
        yield Lost(str(error) or type(error).__name__)


async def say(line: Line) -> int:
    await gs.env(Network).say(line.target, line.text)
    return line.number


def speak(model: Bot, now: float, flood: Flood) -> gs.Step[Bot, Msg]:
    """Say the next line, if there is one and the flood limit allows it."""
    if not model.joined or not model.outbox or model.saying is not None or model.may_speak_at > now:
        return model, ()
    line = model.outbox[0]
    penalty = max(model.penalty_until, now) + flood.line
    call = gs.Cmd.call(
        say, line, ok=Said, err=lambda failure: NotSaid(line.number, failure.kind), key="say", timeout=SAY_TIMEOUT
    )
    return replace(model, saying=line.number, penalty_until=penalty, may_speak_at=penalty - flood.ahead), [call]


# ---------------------------------------------------------------------- what it answers


def answer(model: Bot, target: str, nick: str, text: str, now: float) -> Bot:
    """Return the model after what was said, with what there is to say to it."""
    for name, sign in re.findall(r"(?<!\S)([^\s+-](?:\S{0,29}[^\s+-])?)(\+\+|--)(?!\S)", text):
        model = give_karma(model, target, nick, name, 1 if sign == "++" else -1)
    words = re.sub(r"^\s*!?", "", text).split()
    match [words[0].lower(), *words[1:]] if words else []:
        case ["help"]:
            return add_line(model, target, HELP)
        case ["karma"]:
            best = sorted(model.karma, key=lambda each: (-each[1], each[0]))[:5]
            return add_line(model, target, ", ".join(f"{name} {points}" for name, points in best) or "nobody has karma yet")
        case ["karma", name]:
            return add_line(model, target, f"{name} has {dict(model.karma).get(name.lower(), 0)}")
        case ["reminders"]:
            own = [each for each in model.reminders if each.nick == nick]
            return add_line(model, target, f"{nick}: " + ("; ".join(f"{e.text}" for e in own) or "there are none"))
        case ["remind", "me", "in", duration, *_]:
            return add_reminder(model, target, nick, duration, text.split(duration, 1)[1].strip(), now)
    return model


def give_karma(model: Bot, target: str, nick: str, name: str, points: int) -> Bot:
    name = name.lower()
    if name == nick.lower():
        return add_line(model, target, f"{nick}: not to yourself")
    karma = dict(model.karma)
    karma[name] = karma.get(name, 0) + points
    return add_line(replace(model, karma=tuple(sorted(karma.items()))), target, f"{name} has {karma[name]}")


def add_reminder(model: Bot, target: str, nick: str, duration: str, text: str, now: float) -> Bot:
    parts = re.findall(r"(\d{1,6})([smhd])", duration.lower())
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != duration.lower() or not 0 < seconds <= 366 * 86400:
        return add_line(model, target, f"{nick}: when? like 90s, 10m, 1h30m or 7d")
    if sum(each.nick == nick for each in model.reminders) >= MOST_REMINDERS:
        return add_line(model, target, f"{nick}: you have {MOST_REMINDERS} reminders already")
    number, text = model.next_number, text[:LONGEST_TEXT] or "you wanted to be reminded"
    reminders = (*model.reminders, Reminder(number, nick, target, now + seconds, text))
    return add_line(replace(model, reminders=reminders, next_number=number + 1), target, f"{nick}: I will, in {duration}")


def remind(model: Bot, number: int) -> Bot:
    for each in model.reminders:
        if each.number == number:
            left = tuple(other for other in model.reminders if other is not each)
            return add_line(replace(model, reminders=left), each.target, f"{each.nick}: {each.text}")
    return model


def add_line(model: Bot, target: str, text: str) -> Bot:
    """Put a line into the outbox: one line, that fits into a message."""
    text = re.sub(r"[\r\n\0]+", " ", text).encode(errors="replace")[:LINE_BYTES].decode(errors="ignore")
    line = Line(model.next_number, target, text)
    return replace(model, outbox=(*model.outbox, line), next_number=model.next_number + 1)


bot = make_bot()  # for tools that look at what one has done: go-state inspect examples.irc_bot.bot:bot irc_bot.lmdb
