"""The names of tasks, queues, workers and releases, which rows hold as numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

from sqlalchemy import Connection, insert, select, update

from umbel.monitor.bulk import among
from umbel.monitor.tables import NAMES, NUMBERS

__all__ = ("Kind", "Names", "number_of", "take_numbers")

Kind: TypeAlias = Literal["task", "queue", "worker", "release"]
#: More than that are looked up again, now and then.
_MOST: Final = 50_000


class Names:
    """What one writer, or one reader, knows of names and their numbers."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._names: dict[int, str] = {}

    def forget(self) -> None:
        """Forget all of them: what a transaction has added may not be there."""
        self._numbers.clear()
        self._names.clear()

    def number(self, connection: Connection, kind: Kind, name: str | None) -> int | None:
        """Return the number of a name, which is given one if it has none. Only for who may write now."""
        if name is None:
            return None
        number = self._numbers.get((kind, name))
        if number is None:
            number = number_of(connection, kind, name)
            if number is None:
                number = take_numbers(connection, "name", 1) + 1
                connection.execute(insert(NAMES).values(id=number, kind=kind, name=name))
            self._remember(kind, number, name)
        return number

    def learn(self, connection: Connection, numbers: Iterable[int | None]) -> None:
        """Look up the names of many numbers at once."""
        wanted = sorted({number for number in numbers if number is not None} - self._names.keys())
        if wanted:
            found = select(NAMES.c.id, NAMES.c.kind, NAMES.c.name).where(among(connection, NAMES.c.id, wanted))
            for number, kind, name in connection.execute(found):
                self._remember(kind, number, name)

    def name(self, connection: Connection, number: int | None) -> str | None:
        """Return the name of a number."""
        if number is None:
            return None
        if number not in self._names:
            for kind, name in connection.execute(select(NAMES.c.kind, NAMES.c.name).where(NAMES.c.id == number)):
                self._remember(kind, number, name)
        return self._names.get(number)

    def _remember(self, kind: str, number: int, name: str) -> None:
        if len(self._names) >= _MOST:
            self.forget()
        self._numbers[kind, name] = number
        self._names[number] = name


def number_of(connection: Connection, kind: Kind, name: str) -> int | None:
    """Return the number of a name; None for one that has none."""
    return connection.scalar(select(NAMES.c.id).where(NAMES.c.kind == kind, NAMES.c.name == name))


def take_numbers(connection: Connection, kind: str, count: int) -> int:
    """Take ``count`` new numbers and return the one before the first; who takes any holds off all who want some."""
    taken = update(NUMBERS).where(NUMBERS.c.kind == kind).values(last=NUMBERS.c.last + count).returning(NUMBERS.c.last)
    last: int = connection.execute(taken).scalar_one()
    return last - count
