"""Migrations: how what an older program stored becomes what today's program reads, one schema number at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from go_state.core.errors import UsageError

Json: TypeAlias = Any
"""Dicts, lists, strings, numbers, booleans and None: users' migrations index it as they know it."""

Convert = Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class Migration:
    """From one schema number to the next: functions from JSON to JSON, as `json.loads` would give it. What is not given stays.

    `model` gets a stored model, `message` a journalled message, `["Add", {"by": 1}]`; if it returns None, the message is passed
    over. They change nothing else: they run whenever something old is read.
    """

    model: Convert | None = None
    message: Convert | None = None


def checked_migrations(schema: int, given: Mapping[int, Migration | Convert]) -> dict[int, Migration]:
    """Return the migrations by the schema number they lead away from, a function alone as that of the model."""
    checked = {}
    for number, step in given.items():
        if type(number) is not int or not 1 <= number < schema:
            raise UsageError(f"migrations lead from the schemas 1 to {schema - 1} to the next, not from {number!r}")
        if not isinstance(step, Migration) and not callable(step):
            raise UsageError(f"the migration from schema {number} is a function of a stored model, or a gs.Migration")
        checked[number] = step if isinstance(step, Migration) else Migration(model=step)
    return checked


class NoMigrationError(Exception):
    """There is no way from the stored schema number to the program's."""


class FailedMigrationError(Exception):
    """A migration has raised, which is its cause; `schema` is the number it leads away from. The text quotes nothing of it."""

    def __init__(self, schema: int, why: str) -> None:
        super().__init__(f"it is of an older schema, and its migration from schema {schema} to {schema + 1} {why}")
        self.schema = schema


def migrate(
    value: Json, part: Literal["model", "message"], migrations: Mapping[int, Migration], stored: int, schema: int
) -> Json:
    """Return the value as it is in the program's schema.

    Raises `NoMigrationError`, which says why, when there is no way, and `FailedMigrationError` when one of them raises.
    """
    if stored > schema:
        raise NoMigrationError(f"it is {stored}, of a newer program, and this one's is {schema}: run the newer one")
    for number in range(stored, schema):
        if number not in migrations:
            way = f"Program(schema={schema}, migrations={{{number}: ...}})"
            raise NoMigrationError(
                f"it is {stored}, the program's is {schema}, and there is no migration from {number}: give {way}"
            )
        convert = getattr(migrations[number], part)
        if convert is not None and value is not None:
            try:
                value = convert(value)
            except Exception as error:
                raise FailedMigrationError(number, f"raised {type(error).__qualname__}: mend that function") from error
    return value
