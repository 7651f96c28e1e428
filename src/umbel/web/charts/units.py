"""What the numbers of a chart are: how many jobs, or lengths of time; how they are said, and where lines are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

__all__ = ("Unit", "count_text", "length_text")

#: As many lines as leave room between their labels.
_LINES: Final = 4
_MAGNITUDES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SPANS: Final = ((86_400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_HOUR: Final = 3600.0
#: Lengths of time that a person counts in, from a second to a day.
_ROUND: Final = (
    *(1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0),
    *(_HOUR, 2 * _HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR),
)


class Unit(StrEnum):
    """What is measured."""

    COUNT = "jobs"
    SECONDS = "seconds"

    def text(self, value: float) -> str:
        """Return ``1.2k``, or ``340 ms``."""
        return count_text(value) if self is Unit.COUNT else length_text(value)

    def lines(self, highest: float) -> tuple[float, ...]:
        """Return where lines are drawn, from 0 to above ``highest``: round numbers, five at most."""
        step = _round_count(highest / _LINES) if self is Unit.COUNT else _round_length(highest / _LINES)
        number = max(1, math.ceil(highest / step - 1e-9))
        return tuple(step * at for at in range(number + 1))


def count_text(value: float) -> str:
    """Return a number in four characters or so: ``999``, ``1.2k``, ``35M``, ``1e+30``."""
    for size, letter in _MAGNITUDES:
        if value >= size:
            return f"{value:.0e}" if value >= 1e15 else f"{_three(value / size)}{letter}"
    return _three(value)


def length_text(seconds: float) -> str:
    """Return a length of time in its largest unit: ``3.2 ms``, ``12 s``, ``1.5 h``."""
    for size, unit in _SPANS:
        if seconds >= size:
            return f"{count_text(seconds / size)} {unit}"
    return f"{_three(seconds * 1000)} ms" if seconds else "0"


def _three(value: float) -> str:
    """Return the first digits of a number below a thousand, or just above."""
    return f"{value:.0f}" if value >= 100 or value == int(value) else f"{value:.2g}" if value < 10 else f"{value:.3g}"


def _round_count(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten, not below ``least``, and never a part of a job."""
    return max(1.0, _decimal(least))


def _round_length(least: float) -> float:
    if least < 1:
        return _decimal(max(least, 1e-5))
    if least > _ROUND[-1]:
        return _decimal(least / 86_400) * 86_400
    return _next(_ROUND, least)


def _decimal(least: float) -> float:
    if least <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return power * _next((1.0, 2.0, 5.0, 10.0), least / power)


def _next(values: Sequence[float], least: float) -> float:
    return next((value for value in values if value >= least * (1 - 1e-9)), values[-1])
