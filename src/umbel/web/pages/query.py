"""What the address of a page says about which things it means: bounded, and refused where it cannot be."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from umbel.durations import duration
from umbel.web.problems import Problem

__all__ = ("Query", "wrong")

_VALUE_MOST: Final = 200
_VALUES_MOST: Final = 100
_DIGITS_MOST: Final = 18


@dataclass(frozen=True, slots=True)
class Query:
    """Names with their values, in their order; a name may be there several times."""

    given: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, given: Iterable[tuple[str, object]], names: Sequence[str]) -> Query:
        """Return what is given of ``names``, without empty values. Raises a :exc:`Problem` (422)."""
        pairs = [(name, value.strip()) for name, value in given if name in names and isinstance(value, str)]
        found = tuple(pair for pair in pairs if pair[1])
        if len(found) > _VALUES_MOST:
            raise wrong(f"There are more than {_VALUES_MOST} filters.")
        for name, value in found:
            if "\0" in value:
                raise wrong(f"What is asked for as {name} has a character 0 in it.")
            if len(value) > _VALUE_MOST:
                raise wrong(f"What is asked for as {name} is longer than {_VALUE_MOST} characters.")
        return cls(found)

    def get(self, name: str) -> str | None:
        """Return the last value of a name."""
        return next((value for known, value in reversed(self.given) if known == name), None)

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of a name."""
        return tuple(value for known, value in self.given if known == name)

    def number(self, name: str) -> int | None:
        """Return the number that a name gives. Raises a :exc:`Problem` (422)."""
        value = self.get(name)
        return None if value is None else _number(name, value)

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return all numbers that a name gives. Raises a :exc:`Problem` (422)."""
        return tuple(_number(name, value) for value in self.all(name))

    def moment(self, name: str) -> float | None:
        """Return the time that a name gives, in unix seconds; ``2h`` is two hours ago. Raises a :exc:`Problem`."""
        value = self.get(name)
        return None if value is None else _moment(name, value)

    def fixed(self, *names: str) -> Query:
        """Return this with the times of ``names`` as they are now, so that they mean the same later."""
        moments = {name: datetime.fromtimestamp(at, UTC).isoformat() for name in names if (at := self.moment(name))}
        return Query(tuple((name, moments.get(name, value)) for name, value in self.given))


def wrong(detail: str) -> Problem:
    """Return what is said of an address that asks for what cannot be: nothing is shown rather than something else."""
    return Problem(422, "wrong-filter", detail)


def _number(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS_MOST):
        raise wrong(f"{name} is a number, and not {value!r}.")
    return int(value)


def _moment(name: str, value: str) -> float:
    try:
        return time.time() - duration(value).total_seconds()
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(value)
        # At either end of the calendar another zone has no such time.
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).timestamp()
    except (ValueError, OverflowError):
        raise wrong(f"{name} is a length of time (2h) or a time (2026-01-31T12:00), and not {value!r}.") from None
