"""How many threads of a pool are awake follows whether the jobs that wait are being kept up with."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from umbel.engine import limits, pacer
from umbel.engine.job import Job
from umbel.engine.limits import Watchman
from umbel.engine.pacer import Pacer
from umbel.engine.pool import TaskPool

#: Seconds: longer than anything here takes.
PATIENCE = 60.0


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


def _lone(watch: Pacer, name: str, seconds: float) -> bool:
    """End a lone job that took so long; return whether the next one is expected to be quick."""
    job: Any = SimpleNamespace(task=SimpleNamespace(name=name), started=time.monotonic() - seconds)
    watch.ended(job)
    return watch.is_quick(job)


def test_a_task_is_quick_as_long_as_its_last_lone_jobs_were() -> None:
    watch = Pacer(_Pool())  # type: ignore[arg-type]
    assert [_lone(watch, "quick", -PATIENCE) for _ in range(4)] == [False, False, True, True]
    assert [_lone(watch, "slow", 1.0) for _ in range(4)] == [False] * 4
    assert not _lone(watch, "quick", 1.0)
    assert [_lone(watch, "quick", -PATIENCE) for _ in range(3)] == [False, False, True]
    # Whatever did not begin says nothing.
    watch.ended(SimpleNamespace(task=None, started=None))  # type: ignore[arg-type]


def test_a_pool_runs_one_job_alone_on_a_thread_of_somebody_elses_and_only_one() -> None:
    pool = TaskPool(limit=4)
    task: Any = SimpleNamespace(name="quick", is_async=False)
    ran: list[str] = []
    pool._pacer.is_quick = lambda job: job.task is task  # type: ignore[method-assign]

    def job(task: Any = task) -> Job:
        return Job(lambda _: ran.append(threading.current_thread().name), None, task, None, None)

    run = pool.lone(job())
    assert run is not None
    assert pool.lone(job()) is None, "there is one"
    run()
    assert ran == [threading.current_thread().name]
    assert pool.completed == 1
    assert not pool.running()
    assert pool.lone(job(SimpleNamespace(name="slow", is_async=False))) is None
    assert pool.lone(job(SimpleNamespace(name="quick", is_async=True))) is None
    pool.on_stop()
    assert pool.lone(job()) is None, "it ends"


def test_what_cannot_be_looked_after_keeps_no_limit_from_being_enforced(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> None:
        raise RuntimeError("can't start new thread")

    stopped = threading.Event()
    job = overdue(terminate=stopped.set)
    pool: Any = SimpleNamespace(running=lambda: [job], runs=bool, completed=0, waiting=0, on_look=look)
    watchman = Watchman(pool)
    watchman.wake()
    assert stopped.wait(PATIENCE), "the job is stopped at its limit"
    watchman.stop()
    assert "could not be looked after" in caplog.text


@pytest.mark.parametrize("threads", [True, False])
@pytest.mark.parametrize(("runs", "ends"), [([True, True], ["told", "stopped"]), ([True, False], []), ([False], [])])
def test_c35_a_job_that_ends_by_itself_is_not_stopped_too(
    runs: list[bool], ends: list[str], threads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before somebody looks, or before its failure begins, also where no thread can be started for that."""
    told: list[str] = []
    if not threads:
        monkeypatch.setattr(limits, "threading", SimpleNamespace(Thread=_no_thread, Event=list, Lock=list))
    answers = iter(runs)
    watchman = Watchman(SimpleNamespace(runs=lambda _: next(answers)))  # type: ignore[arg-type]
    request = SimpleNamespace(on_timeout=lambda soft, limit: told.append("told"))
    watchman._look(overdue(request=request, terminate=lambda: told.append("stopped")))
    for thread in threading.enumerate():
        if thread.name == "umbel-limit":
            thread.join()
    assert told == ends


def test_c35_a_failure_that_does_not_end_costs_its_process_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up: list[Any] = []
    watchman = Watchman(SimpleNamespace(runs=bool))  # type: ignore[arg-type]
    monkeypatch.setattr(watchman, "_condemn", given_up.append)
    job = overdue(failing_since=time.monotonic() - limits._HANDLERS_SECONDS + 30)
    watchman._look(job)
    assert not given_up
    job.failing_since -= 31
    watchman._look(job)
    assert given_up == [job]


def overdue(**more: Any) -> Any:
    job = {"overdue": 1.0, "hard": 0.5, "soft": None, "stopped_at": None, "failing_since": None, "request": None}
    return SimpleNamespace(**job | {"terminate": list} | more)


def _no_thread(**_: Any) -> Any:
    raise RuntimeError("can't start new thread")


def test_c35_a_watchman_that_two_wake_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two would stop each job twice."""
    watchman = Watchman(SimpleNamespace())  # type: ignore[arg-type]
    watchman._awake = SimpleNamespace(is_set=lambda: False, set=list)  # type: ignore[assignment]
    other = threading.Thread(target=watchman.wake)
    made: list[object] = []

    def thread(**_: Any) -> Any:
        made.append(object())
        if other.ident is None:
            other.start()
            # It may go on only when there is one.
            other.join(0.1)
        return SimpleNamespace(start=list)

    monkeypatch.setattr(limits, "threading", SimpleNamespace(Thread=thread))
    watchman.wake()
    other.join()
    assert len(made) == 1


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
