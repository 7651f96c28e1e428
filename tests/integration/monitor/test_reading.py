"""Reading the history: filters, pages, counts, groups of failures, charts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.monitor.events import START, Recorder, ended, ends, failure, queued
from umbel.monitor import job_filter
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.jobs_view import Count
from umbel.states import JobState

FAILED = frozenset({JobState.FAILED})


@pytest.fixture
def filled(history: History) -> History:
    """Sixty jobs, a minute apart: each third of them failed, each fourth waits."""
    recorder = Recorder(history)
    events: list[Any] = []
    for number in range(60):
        name, at = f"job-{number}", START + 60 * number
        about: dict[str, Any] = {"umbel_tags": ["even" if number % 2 == 0 else "odd"]}
        if number % 10 == 0:
            about["umbel_owner"] = "ann"
        events.append(
            queued(name, at, queue=f"q{number % 2}", task=f"shop.t{number % 3}", args=[f"Arg_{number}"], **about)
        )
        if number % 4 == 0:
            continue
        if number % 3 == 0:
            end = ended(
                name, "FAILURE", at + 1, queue=f"q{number % 2}", document=failure(name, message=[f"no {number}"])
            )
        else:
            end = ended(name, started=at + 1, queue=f"q{number % 2}")
        events.append(ends(end, worker=f"w{number % 5}", release="v1" if number < 30 else "v2"))
    recorder.tell(*events)
    return history


def numbers(history: History, limit: int = 7, **wanted: Any) -> list[int]:
    """Return which jobs fit, read page by page."""
    found: list[int] = []
    before: int | None = None
    while True:
        page = history.jobs.find(JobFilter(**wanted), before=before, limit=limit)
        assert len(page.jobs) <= limit
        found += [int(one.id.removeprefix("job-")) for one in page.jobs]
        if page.next is None:
            return found
        assert before is None or page.next < before
        before = page.next


def state_of(number: int) -> JobState:
    if number % 4 == 0:
        return JobState.QUEUED
    return JobState.FAILED if number % 3 == 0 else JobState.SUCCEEDED


CASES: dict[str, tuple[dict[str, Any], Any]] = {
    "all": ({}, lambda n: True),
    "state": ({"states": FAILED}, lambda n: state_of(n) is JobState.FAILED),
    "succeeded": ({"states": frozenset({JobState.SUCCEEDED})}, lambda n: state_of(n) is JobState.SUCCEEDED),
    "two states": (
        {"states": FAILED | {JobState.QUEUED}},
        lambda n: state_of(n) in (JobState.FAILED, JobState.QUEUED),
    ),
    "task": ({"task": "shop.t1"}, lambda n: n % 3 == 1),
    "queue": ({"queue": "q1"}, lambda n: n % 2 == 1),
    "tag": ({"tag": "odd"}, lambda n: n % 2 == 1),
    "tag and task": ({"tag": "odd", "task": "shop.t1"}, lambda n: n % 2 == 1 and n % 3 == 1),
    "owner": ({"owner": "ann"}, lambda n: n % 10 == 0),
    "owner and state": ({"owner": "ann", "states": FAILED}, lambda n: n % 10 == 0 and state_of(n) is JobState.FAILED),
    "worker": ({"worker": "w2"}, lambda n: n % 5 == 2 and n % 4),
    "release": ({"release": "v2"}, lambda n: n >= 30 and n % 4),
    "since": ({"since": START + 60 * 20}, lambda n: n >= 20),
    "until": ({"until": START + 60 * 20}, lambda n: n < 20),
    "between": (
        {"since": START + 60 * 20.5, "until": START + 60 * 30, "queue": "q0"},
        lambda n: 20 < n < 30 and n % 2 == 0,
    ),
    "text in arguments": ({"text": "arg_5"}, lambda n: n == 5 or 50 <= n < 60),
    "text is no pattern": ({"text": "arg%5"}, lambda n: False),
    "text in an error": ({"text": "NO 3"}, lambda n: state_of(n) is JobState.FAILED and str(n).startswith("3")),
    "text in an id": ({"text": "job-7"}, lambda n: n == 7),
    "a task that is not known": ({"task": "shop.none"}, lambda n: False),
    "a time before all": ({"until": START - 5000}, lambda n: False),
    "a time after all": ({"since": START + 60_000}, lambda n: False),
}


@pytest.mark.parametrize("case", CASES)
def test_filters_and_pages(filled: History, case: str) -> None:
    wanted, fits = CASES[case]
    right = [number for number in reversed(range(60)) if fits(number)]
    assert numbers(filled, **wanted) == right
    assert filled.jobs.count(JobFilter(**wanted)) == Count(len(right))


def test_a_page_looks_at_a_bounded_number_of_rows(filled: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few fit it ends early, says where to go on, and nothing is left out."""
    monkeypatch.setattr(job_filter, "LOOKED_AT", 10)
    for case, (wanted, fits) in CASES.items():
        right = [number for number in reversed(range(60)) if fits(number)]
        assert numbers(filled, **wanted) == right, case
    page = filled.jobs.find(JobFilter(text="job-7"))
    assert (page.jobs, page.next) == ((), 51)
    assert filled.jobs.count(JobFilter(text="arg_5")).more
    assert filled.jobs.count(JobFilter(), most=20) == Count(20, more=True)


def test_what_comes_meanwhile_moves_no_page(filled: History) -> None:
    page = filled.jobs.find(limit=10)
    Recorder(filled, "other").tell(queued("job-99", START + 9999))
    following = filled.jobs.find(before=page.next, limit=10)
    assert [one.id for one in following.jobs] == [f"job-{number}" for number in range(49, 39, -1)]


def test_failures_are_grouped(filled: History) -> None:
    recorder = Recorder(filled, "other")
    recorder.tell(queued("x"), ends(ended("x", "FAILURE", document=failure("x", "KeyError")), release="v3"))
    groups = filled.failures.find()
    # What has failed outside of the project's own code is told apart by its task; only t0 has failed.
    assert [(one.error_type, one.task, one.jobs) for one in groups] == [
        ("ValueError", "shop.t0", 15),
        ("KeyError", "shop.add", 1),
    ]
    assert (groups[0].error_message, groups[0].release, groups[1].release) == ("no 57", "v2", "v3")
    assert len(numbers(filled, fingerprint=groups[0].fingerprint)) == 15
    recorder.tell(queued("x", START + 5), ended("x", started=START + 6))
    assert [one.jobs for one in filled.failures.find()] == [15]


def test_charts_count_what_happened(filled: History) -> None:
    points = filled.charts.series(since=START, until=START + 3600, step=600)
    assert [point.start for point in points] == [int(START) + 600 * place for place in range(6)]
    assert [point.counts["queued"] for point in points] == [10] * 6
    for name, state in (("succeeded", JobState.SUCCEEDED), ("failed", JobState.FAILED)):
        right = [sum(state_of(n) is state for n in range(place, place + 10)) for place in range(0, 60, 10)]
        assert [point.counts[name] for point in points] == right
    assert 0.7 < (points[0].waited_p50 or 0) < 1.42
    assert 1.4 < (points[0].ran_p95 or 0) < 2.9


@pytest.mark.parametrize("step", [60, 3600, 86_400, 7200])
def test_charts_of_one_task_or_queue(filled: History, step: int) -> None:
    def queued_in(**wanted: str) -> int:
        points = filled.charts.series(since=START, until=START + 3600, step=step, **wanted)
        return sum(point.counts["queued"] for point in points)

    assert queued_in() == 60
    assert queued_in(task="shop.t1") == 20
    assert queued_in(queue="q1") == 30
    assert queued_in(task="shop.t1", queue="q1") == 10
    assert queued_in(task="shop.none") == 0


def test_a_chart_ends_in_the_second_in_which_a_step_begins(filled: History) -> None:
    points = filled.charts.series(since=START - 60, until=START + 0.5, step=60)
    assert [point.start - START for point in points] == [-60, 0]


@pytest.mark.parametrize(("step", "until"), [(0, 3600), (45, 3600), (-60, 3600), (60, 86_400 * 30)])
def test_charts_refuse_what_they_cannot_show(history: History, step: int, until: float) -> None:
    with pytest.raises(ValueError, match="chart"):
        history.charts.series(since=START, until=START + until, step=step)
