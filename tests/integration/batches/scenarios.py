"""What a process does that dies at each line of it, and what must hold after others have gone on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from celery import chord

from tests.integration.batches.bench import Bench

__all__ = ("SCENARIOS", "Scenario")

_ROWS: Final = 12
_PARTS: Final = 3


def _open(bench: Bench, label: str, watch: Callable[[], None]) -> None:
    """A batch is opened outside of any job."""
    watch()
    bench.open(label)


def _members(bench: Bench, label: str, watch: Callable[[], None]) -> None:
    """Members run, add others, and the callbacks follow."""
    bench.open(label)
    watch()
    bench.drain()


def _in_job(bench: Bench, label: str, watch: Callable[[], None]) -> None:
    """A job opens a batch: it runs again, and opens the same one."""
    bench.tasks["opener"].delay(label)
    watch()
    bench.drain()


def _rows(bench: Bench, label: str, watch: Callable[[], None]) -> None:
    """Jobs loop over rows."""
    bench.tasks["rows"].delay(f"{label}-1", _ROWS, 1)
    bench.tasks["rows"].delay(f"{label}-5", _ROWS, 5)
    bench.tasks["rows_async"].delay(f"{label}-a", _ROWS, 1)
    watch()
    bench.drain()


def _chord(bench: Bench, label: str, watch: Callable[[], None]) -> None:
    """Members of a chord run, and its callback is made of their results."""
    part = bench.tasks["part"]
    chord([part.s(f"{label}.{number}") for number in range(_PARTS)], app=bench.app)(bench.tasks["gathered"].s(label))
    watch()
    bench.drain()


def _judge_batch(bench: Bench, label: str, *, may_be_cancelled: bool) -> list[str]:
    """Return what is wrong: each callback is one job, and so is each member."""
    found = [one for one in bench.app.find_batches(10) if one.name == label]
    if not found:
        # It died before there was any.
        return [] if may_be_cancelled and not bench.told("leaf") else ["there is no batch"]
    faults = [] if len(found) == 1 else [f"{len(found)} batches"]
    (one, *_) = found
    expected = ["finally"] if one.state == "cancelled" else ["finally", "then"]
    if one.state == "cancelled" and not may_be_cancelled:
        faults.append("it was cancelled")
    if one.finished is None or one.pending:
        faults.append(f"it has not ended: {one}")
    for kind in ("then", "catch", "finally"):
        jobs = {line[-1] for line in bench.told("called", kind, label)}
        if len(jobs) != (kind in expected):
            faults.append(f"{kind} is {len(jobs)} jobs")
    words: Counter[str] = Counter()
    for kind in ("leaf", "branch"):
        for word, _ in {(word, job) for _, word, job in bench.told(kind) if word.startswith(f"{label}.")}:
            words[word] += 1
    wanted = {f"{label}.1": 1, f"{label}.2": 1, f"{label}.b": 1, f"{label}.a": 1, f"{label}.a.1": 1, f"{label}.a.2": 1}
    wanted |= {f"{label}.b.1": 1, f"{label}.b.2": 1, f"{label}.b.3": 2}
    wrong = words != wanted if one.state != "cancelled" else any(words[word] > wanted.get(word, 0) for word in words)
    return [*faults, f"members: {dict(words)}"] if wrong else faults


def _judge_rows(bench: Bench, label: str) -> list[str]:
    faults = []
    for name, most in ((f"{label}-1", 1), (f"{label}-5", 5), (f"{label}-a", 1)):
        numbers = [line[2] for line in bench.told("row", name)]
        if sorted(set(numbers)) != list(range(_ROWS)):
            faults.append(f"{name} lacks rows: {numbers}")
        if len(numbers) - _ROWS > most:
            faults.append(f"{name} repeated {len(numbers) - _ROWS} rows: {numbers}")
    return faults


def _judge_chord(bench: Bench, label: str) -> list[str]:
    """Return what is wrong: the callback is one job, and has the results in their order."""
    told = bench.told("gathered", label)
    if len({line[-1] for line in told}) != 1:
        return [f"the callback is {len({line[-1] for line in told})} jobs"]
    wanted = [f"{label}.{number}" for number in range(_PARTS)]
    return [f"it got {line[2]}" for line in told if line[2] != wanted]


@dataclass(frozen=True, slots=True)
class Scenario:
    """``act`` calls its last argument when what follows is to be watched; ``judge`` returns what is wrong."""

    act: Callable[[Bench, str, Callable[[], None]], None]
    judge: Callable[[Bench, str], list[str]]


SCENARIOS: Final[dict[str, Scenario]] = {
    "open": Scenario(_open, partial(_judge_batch, may_be_cancelled=True)),
    "members": Scenario(_members, partial(_judge_batch, may_be_cancelled=False)),
    "in_job": Scenario(_in_job, partial(_judge_batch, may_be_cancelled=False)),
    "chord": Scenario(_chord, _judge_chord),
    "rows": Scenario(_rows, _judge_rows),
}
