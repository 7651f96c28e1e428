"""What is meant by "all that fit": a filter, and how far it went when somebody looked.

What comes later has a higher number, or has ended after the look, and is no part of it: a job that fails between the
preview and the click is not retried by that click. A selection travels through forms and the API as its ``mark``, a
short text; with another filter than the one that was previewed it is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from umbel.engine.letters import LetterFilter
from umbel.errors import SelectionChanged

if TYPE_CHECKING:
    from umbel.jobs.dead_letters import DeadLetters
    from umbel.monitor.job_filter import JobFilter
    from umbel.monitor.jobs_view import JobsView

__all__ = ("JobSelection", "LetterSelection")

#: So many are counted.
_COUNT_MOST: Final = 10_000
_MARK: Final = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19}){4}\.[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSelection:
    """The jobs that fit ``where``, up to the number ``upto``, that had their state when somebody looked."""

    where: JobFilter
    upto: int
    #: How many those were; ``more``: at least so many.
    count: int
    more: bool = False
    #: Where the next step goes on: those below this number.
    before: int | None = None

    @classmethod
    def of(cls, jobs: JobsView, where: JobFilter) -> Self:
        """Look which jobs those are now."""
        # The mark holds milliseconds.
        now = int(time.time() * 1000) / 1000
        at = now if where.ended_until is None else min(now, where.ended_until)
        upto = jobs.newest()
        bounded = replace(where, ended_until=at)
        found = jobs.count(bounded, before=upto + 1, most=_COUNT_MOST)
        return cls(where=bounded, upto=upto, count=found.number, more=found.more)

    @property
    def mark(self) -> str:
        """What stands for it, beside the filter."""
        at = self.where.ended_until or 0.0
        return _mark(self.where, self.upto, self.count, self.more, round(at * 1000), self.before or 0)

    @classmethod
    def marked(cls, where: JobFilter, mark: str) -> Self:
        """Return the selection that ``mark`` stands for. Raises :exc:`SelectionChanged`."""
        upto, count, more, at, before = _numbers(mark, where)
        bounded = replace(where, ended_until=at / 1000)
        return cls(where=bounded, upto=upto, count=count, more=bool(more), before=before or None)

    @property
    def text(self) -> str:
        """The filter in words."""
        return _words(self.where)

    def going_on(self, before: int) -> JobSelection:
        """Return what is left of it below a number."""
        return replace(self, before=before)

    def check(self, jobs: JobsView) -> None:
        """Raise :exc:`SelectionChanged` if more fit by now, because older jobs have changed."""
        if self.more or self.before is not None:
            return
        now = jobs.count(self.where, before=self.upto + 1, most=_COUNT_MOST)
        if now.more or now.number > self.count:
            raise SelectionChanged(f"{now.number:,} jobs fit now, and {self.count:,} did")


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterSelection:
    """The dead letters that fit ``where``, up to the number ``upto``: none that has died since."""

    where: LetterFilter
    upto: int
    count: int
    more: bool = False
    #: Where the next step goes on: those below this number.
    before: int | None = None

    @classmethod
    def of(cls, letters: DeadLetters, where: LetterFilter) -> Self:
        """Look which letters those are now."""
        newest = letters.find(limit=1)
        upto = newest[0].id if newest else 0
        count = 0
        for count, _ in enumerate(letters.walk(where, upto=upto), 1):
            if count > _COUNT_MOST:
                return cls(where=where, upto=upto, count=_COUNT_MOST, more=True)
        return cls(where=where, upto=upto, count=count)

    @property
    def mark(self) -> str:
        """What stands for it, beside the filter."""
        return _mark(self.where, self.upto, self.count, self.more, 0, self.before or 0)

    @property
    def text(self) -> str:
        """The filter in words."""
        return _words(self.where)

    def going_on(self, before: int) -> LetterSelection:
        """Return what is left of it below a number."""
        return replace(self, before=before)

    @classmethod
    def marked(cls, where: LetterFilter, mark: str) -> Self:
        """Return the selection that ``mark`` stands for. Raises :exc:`SelectionChanged`."""
        upto, count, more, _, before = _numbers(mark, where)
        return cls(where=where, upto=upto, count=count, more=bool(more), before=before or None)


def _mark(where: JobFilter | LetterFilter, *numbers: int) -> str:
    return ".".join([*(str(int(number)) for number in numbers), _digest(where)])


def _numbers(mark: str, where: JobFilter | LetterFilter) -> tuple[int, ...]:
    if not _MARK.fullmatch(mark):
        raise SelectionChanged("This is no mark of a preview")
    *numbers, digest = mark.split(".")
    if digest != _digest(where):
        raise SelectionChanged("The preview was one of another filter")
    return tuple(min(int(number), 2**62) for number in numbers)


def _values(where: JobFilter | LetterFilter) -> dict[str, Any]:
    values = {name: value for name, value in asdict(where).items() if name != "ended_until" and value is not None}
    if "states" in values:
        values["states"] = sorted(str(state) for state in values["states"])
    return values


def _digest(where: JobFilter | LetterFilter) -> str:
    text = json.dumps(_values(where), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _words(where: JobFilter | LetterFilter) -> str:
    """Return a filter in words, as the audit log tells of it; what an argument is said to be is not told there."""
    values = {name: value for name, value in _values(where).items() if value != []}
    for name in ("argument", "text"):
        if name in values:
            values[name] = "…"
    return ", ".join(f"{name}={_word(value)}" for name, value in values.items()) or "all"


def _word(value: Any) -> str:
    return "|".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
