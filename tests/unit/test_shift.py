"""One thread fetches at a time, whoever it is; one that runs a job for long is relieved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from umbel.engine import shift as module
from umbel.engine.shift import Relieved, Shift

PATIENCE = 60.0


class _Crew:
    """What the threads of a shift do: they run the jobs that they are given, until they are relieved."""

    def __init__(self) -> None:
        self.shift = Shift(self._work)
        self.jobs: list[Callable[[], None]] = []
        self.came: list[threading.Thread] = []
        self.relieved: list[threading.Thread] = []
        self.changed = threading.Condition()

    def _work(self) -> None:
        me = threading.current_thread()
        self._note(self.came, me)
        while True:
            with self.changed:
                if not self.changed.wait_for(lambda: self.jobs, PATIENCE):
                    return
                job = self.jobs.pop()
            try:
                self.shift.run_here(job)
            except Relieved:
                self._note(self.relieved, me)
                return

    def _note(self, where: list[threading.Thread], one: threading.Thread) -> None:
        with self.changed:
            where.append(one)
            self.changed.notify_all()

    def give(self, job: Callable[[], None]) -> None:
        with self.changed:
            self.jobs.append(job)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE)


@pytest.fixture
def crew() -> _Crew:
    crew = _Crew()
    crew.shift.start()
    return crew


def test_a_quick_job_leaves_its_thread_where_it_was(crew: _Crew) -> None:
    for _ in range(2):
        done = threading.Event()
        crew.give(done.set)
        assert done.wait(PATIENCE)
    crew.shift.relieve()
    assert len(crew.came) == 1
    assert not crew.relieved
    crew.shift.stop(0.0)


def test_a_thread_whose_job_takes_its_time_is_relieved_once(crew: _Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AWAY_SECONDS", -1.0)
    began, end = threading.Event(), threading.Event()
    crew.give(lambda: (began.set(), end.wait(PATIENCE))[0])
    assert began.wait(PATIENCE)
    crew.shift.relieve()
    crew.wait(lambda: len(crew.came) == 2)
    # The one that fetches now is at its post.
    crew.shift.relieve()
    end.set()
    crew.wait(lambda: crew.relieved == [crew.came[0]])
    assert len(crew.came) == 2
    again = threading.Event()
    crew.give(again.set)
    assert again.wait(PATIENCE)
    assert len(crew.relieved) == 1


def test_a_job_that_has_just_begun_is_not_taken_for_slow(crew: _Crew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AWAY_SECONDS", PATIENCE)
    began, end = threading.Event(), threading.Event()
    crew.give(lambda: (began.set(), end.wait(PATIENCE))[0])
    assert began.wait(PATIENCE)
    crew.shift.relieve()
    end.set()
    assert len(crew.came) == 1


def test_stopping_waits_for_no_job_whose_thread_then_ends(crew: _Crew) -> None:
    began, end = threading.Event(), threading.Event()
    crew.give(lambda: (began.set(), end.wait(PATIENCE))[0])
    assert began.wait(PATIENCE)
    crew.shift.stop(PATIENCE)
    assert crew.came[0].is_alive()
    end.set()
    crew.wait(lambda: crew.relieved == [crew.came[0]])


def test_a_job_that_raises_leaves_the_thread_where_it_was(crew: _Crew) -> None:
    seen: list[BaseException] = []
    done = threading.Event()

    def alone() -> None:
        try:
            crew.shift.run_here(lambda: 1 // 0)  # type: ignore[arg-type,return-value]
        except ZeroDivisionError as error:
            seen.append(error)
        done.set()

    crew.give(alone)
    assert done.wait(PATIENCE)
    assert len(seen) == 1
    assert not crew.relieved
    crew.shift.stop(0.0)
