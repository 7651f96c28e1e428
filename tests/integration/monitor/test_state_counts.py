"""How many jobs are in each state, and when releases came to work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from tests.integration.monitor.events import START, Recorder, ended, ends, queued
from umbel.monitor import state_counts
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.jobs_view import Count
from umbel.monitor.state_counts import count_states
from umbel.states import JobState


def fill(history: History, count: int = 24) -> Recorder:
    """Jobs a minute apart, in two queues, of three tasks; each sixth one fails, each fourth one waits for long."""
    recorder = Recorder(history)
    events: list[Any] = []
    for number in range(count):
        name, queue, at = f"job-{number}", f"q{number % 2}", START + 60 * number
        events.append(queued(name, at, queue=queue, task=f"shop.t{number % 3}"))
        if number % 4:
            state = "FAILURE" if number % 6 == 0 else "SUCCESS"
            events.append(ends(ended(name, state, at + (20 if number % 2 else 2), queue=queue)))
    recorder.tell(*events)
    return recorder


def test_states_are_counted_whatever_state_is_asked_for(history: History) -> None:
    fill(history)
    found = count_states(history.database, JobFilter(states=frozenset({JobState.FAILED})))
    assert found[JobState.QUEUED] == Count(6)
    assert found[JobState.FAILED] == Count(2)
    assert found[JobState.SUCCEEDED] == Count(16)
    assert found[JobState.CANCELLED] == Count(0)
    of_task = count_states(history.database, JobFilter(task="shop.t0", since=START + 600))
    for state in JobState:
        wanted = JobFilter(task="shop.t0", since=START + 600, states=frozenset({state}))
        assert of_task[state] == history.jobs.count(wanted)


def test_of_many_jobs_of_a_state_enough_are_counted(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(history)
    monkeypatch.setattr(state_counts, "_MOST", 5)
    found = count_states(history.database)
    assert found[JobState.SUCCEEDED] == Count(5, more=True)
    assert found[JobState.FAILED] == Count(2)
    monkeypatch.setattr(state_counts, "_LOOKED_AT", 5)
    # With a filter no more rows are looked at: it may not be known of all.
    assert count_states(history.database, JobFilter(text="job-23"))[JobState.SUCCEEDED] == Count(1, more=True)


def test_a_page_asks_few_questions_however_many_states_and_names_there_are(history: History) -> None:
    fill(history)
    asked: list[str] = []
    event.listen(history.database.engine, "before_cursor_execute", lambda *about: asked.append(about[2]))

    def questions(ask: Callable[[], object]) -> int:
        asked.clear()
        ask()
        return sum(one.startswith("SELECT") for one in asked)

    assert questions(lambda: count_states(history.database)) == 1
    assert questions(lambda: count_states(history.database, JobFilter(text="job"))) == 2
    of_task = JobFilter(task="shop.t0", queue="q0", states=frozenset({JobState.FAILED}))
    assert questions(lambda: count_states(history.database, of_task)) == 4
    assert questions(lambda: history.jobs.find()) == 2
    assert questions(lambda: history.failures.find()) == 2


def releases(history: History) -> list[tuple[str, float]]:
    return [(one.name, one.at - START) for one in history.releases.find(since=0, until=START * 2)]


def test_a_release_comes_once_however_many_jobs_it_has(history: History) -> None:
    recorder = Recorder(history)
    for number in range(5):
        at = START + 400 * number
        recorder.tell(queued(f"a-{number}", at), ends(ended(f"a-{number}", started=at, ran=0.0), release="v1"))
    # Nothing happened for a night, and no other release came.
    recorder.tell(queued("b", START + 40_000), ends(ended("b", started=START + 40_000, ran=0.0), release="v1"))
    assert releases(history) == [("v1", 0.0)]


def test_a_way_back_to_an_older_release_is_a_mark_too(history: History) -> None:
    recorder = Recorder(history)

    def tell(number: int, at: float, release: str) -> None:
        name = f"job-{number}"
        recorder.tell(queued(name, START + at), ends(ended(name, started=START + at, ran=0.0), release=release))

    # A rolling deployment: both are at work for a while.
    for number, (at, release) in enumerate([(0, "v1"), (100, "v2"), (200, "v1"), (300, "v2"), (1500, "v2")]):
        tell(number, at, release)
    assert releases(history) == [("v1", 0.0), ("v2", 100.0)]
    tell(7, 1600, "v1")
    assert releases(history) == [("v1", 0.0), ("v2", 100.0), ("v1", 1600.0)]
    assert [one.name for one in history.releases.find(since=START + 50, until=START + 200)] == ["v2"]


def test_two_recorders_write_one_mark(history: History) -> None:
    again = History(history.database.address.render_as_string(hide_password=False))
    first, second = Recorder(history, "one"), Recorder(again, "two")
    for number, recorder in enumerate([first, second, first, second]):
        at = START + 61 * number
        recorder.tell(queued(f"job-{number}", at), ends(ended(f"job-{number}", started=at, ran=0.0), release="v1"))
    again.close()
    assert releases(history) == [("v1", 0.0)]
