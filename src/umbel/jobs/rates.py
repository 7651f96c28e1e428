"""How often is said: ``"100/m"``, as Celery says it, with ``/d`` too, and numbers of starts a second."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

from umbel.state.limits import UNLIMITED, Rule

__all__ = ("rate_text", "rule_of")

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_RATE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:/\s*([smhd]))?\s*")
_MOST: Final = 1_000_000
_LONGEST: Final = 31 * 86_400


def rule_of(rate: Any, burst: int = 0) -> Rule:
    """Return the rule that ``rate`` says; ``"1.5/s"`` is 3 in any 2 s, and 0 is no limit. Raises :exc:`ValueError`."""
    if rate is None or isinstance(rate, bool) or not isinstance(rate, (str, int, float)):
        raise ValueError(_advice(rate))
    found = _RATE.fullmatch(rate if isinstance(rate, str) else f"{rate:f}")
    if found is None:
        raise ValueError(_advice(rate))
    number = Fraction(found[1]).limit_denominator(100_000)
    if not number:
        return UNLIMITED
    count, seconds = number.numerator, number.denominator * _UNITS[found[2] or "s"]
    if count > _MOST or seconds > _LONGEST:
        raise ValueError(f"{rate!r} is no limit that can be kept: at most a million in at most 31 days.")
    return Rule(count, float(seconds), burst)


def rate_text(rule: Rule) -> str:
    """Return how a rule is said: ``"100/m"``; ``"3 in 2 s"`` where the unit is none of Celery's."""
    if not rule.count:
        return "none"
    if not rule.seconds:
        return f"{rule.count} at a time"
    unit = next((name for name, seconds in _UNITS.items() if seconds == rule.seconds), None)
    text = f"{rule.count}/{unit}" if unit is not None else f"{rule.count} in {rule.seconds:g} s"
    return f"{text}, bursts of {rule.burst}" if rule.burst else text


def _advice(rate: Any) -> str:
    return (
        f"{rate!r} is no rate: write how many a second, minute, hour or day, like '10/s', '100/m', '1000/h' or '5/d'."
    )
