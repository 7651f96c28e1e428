"""Dies at each line of a scenario, each time in a process of its own.

``python -m tests.integration.batches.killing URL [SCENARIO]...``

A step is a line of the scenario's jobs, of the code of batches and checkpoints, and of what settles them. After each
death a fleet recovers, and what is promised is judged. ``stride`` takes every so many steps only, from ``first``.
"""

from __future__ import annotations

import logging
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.integration.batches.bench import Bench
from tests.killpoints import Killer, forked
from umbel.jobs import batches

__all__ = ("SCENARIOS", "campaign")

_CODE = (
    "/batches/bench.py",
    "/jobs/batches.py",
    "/jobs/batch_ids.py",
    "/jobs/batch_messages.py",
    "/jobs/checkpoints.py",
    "/engine/execution.py",
    "/engine/sqlite_batches.py",
    "/engine/sqlite_checkpoints.py",
    "/engine/sqlite_settle.py",
    "/engine/redis_batches.py",
    "/engine/redis_checkpoints.py",
)
_ROWS = 12


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


def _judge_batch(bench: Bench, label: str, *, may_be_cancelled: bool) -> list[str]:
    """Return what is wrong: each callback is one job, and so is each member."""
    found = [one for one in bench.app.find_batches(1000) if one.name == label]
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


SCENARIOS: dict[str, tuple[Callable[..., None], Callable[..., list[str]]]] = {
    "open": (_open, lambda bench, label: _judge_batch(bench, label, may_be_cancelled=True)),
    "members": (_members, lambda bench, label: _judge_batch(bench, label, may_be_cancelled=False)),
    "in_job": (_in_job, lambda bench, label: _judge_batch(bench, label, may_be_cancelled=False)),
    "rows": (_rows, _judge_rows),
}


def _die_at(step: int, bench: Bench, name: str, label: str) -> None:
    batches._OPEN_SECONDS = 0.02  # type: ignore[misc]
    SCENARIOS[name][0](bench, label, partial(Killer(step).watch_lines, *_CODE))


def campaign(url: str, name: str, *, stride: int = 1, first: int = 1) -> tuple[int, list[str]]:
    """Kill at the steps of a scenario until a process gets through; return how many died, and what is wrong."""
    faults: list[str] = []
    died, step = 0, first
    with tempfile.TemporaryDirectory(prefix="umbel-killing-") as folder:
        while True:
            bench = Bench(url, Path(folder) / f"effects-{step}")
            label = f"{name}{step}"
            ended = forked(partial(_die_at, step, bench, name, label))
            if ended not in (0, -signal.SIGKILL):
                return died, [*faults, f"step {step} ended with {ended}"]
            found = _recovered(bench, name, label)
            faults += [f"{name} step {step}: {fault}" for fault in found]
            if ended == 0:
                return died, faults
            died, step = died + 1, step + stride


def _recovered(bench: Bench, name: str, label: str) -> list[str]:
    found: list[str] = []
    # The lock of a block whose process has died lasts a moment.
    for _ in range(200):
        bench.recover()
        found = SCENARIOS[name][1](bench, label)
        if not found:
            break
    bench.engine.close()
    return found


def main(url: str, names: list[str]) -> int:
    """Run whole campaigns."""
    broken = 0
    logging.disable(logging.WARNING)
    for name in names or list(SCENARIOS):
        died, faults = campaign(url, name)
        broken += len(faults)
        print(f"{name}: {died} steps", *faults, sep="\n  ", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
