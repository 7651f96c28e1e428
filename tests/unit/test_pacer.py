"""How many threads of a pool are awake follows whether the jobs that wait are being kept up with."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from umbel.engine import pacer
from umbel.engine.pacer import Pacer
from umbel.engine.pool import TaskPool


class _Pool:
    def __init__(self) -> None:
        self.waiting = 5
        self.woken: list[str] = []

    def wake(self) -> bool:
        self.woken.append("one")
        return True

    def wake_all(self) -> None:
        self.woken.append("all")


def _looks(monkeypatch: pytest.MonkeyPatch, begun: list[int]) -> list[str]:
    """Let so many jobs begin before each of the looks, and return whom they woke."""
    pool = _Pool()
    watch = Pacer(pool)  # type: ignore[arg-type]
    plan = iter(begun)

    def sleep(_: float) -> None:
        for _ in range(next(plan)):
            watch.began()
        if not plan.__length_hint__():
            pool.waiting = 0

    monkeypatch.setattr(pacer.time, "sleep", sleep)
    watch._pace()
    return pool.woken


def test_slow_jobs_get_a_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _looks(monkeypatch, [0, 0]) == ["all", "all"]


def test_a_thread_that_falls_behind_gets_another_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _looks(monkeypatch, [1, 2]) == ["one", "one"]


def test_quick_jobs_follow_each_other_on_the_thread_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _looks(monkeypatch, [20, 20]) == []


def test_a_burst_of_jobs_that_wait_for_each_other_runs_side_by_side() -> None:
    meeting = threading.Barrier(8)
    done: list[int] = []

    def body(number: int) -> None:
        meeting.wait(60.0)
        done.append(number)

    pool = TaskPool(limit=8)
    pool.on_start()
    for number in range(8):
        pool.on_apply(body, (number,), callback=_nothing, accept_callback=_nothing)
    deadline = threading.Event()
    while len(done) < 8 and not deadline.wait(0.01):
        assert not meeting.broken
    pool.on_stop()
    assert sorted(done) == list(range(8))


def _nothing(*_: Any, **__: Any) -> None:
    return None
