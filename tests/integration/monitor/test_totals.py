"""Sums over a time, by task and by queue."""

from __future__ import annotations

import time

import pytest

from tests.integration.monitor.events import Recorder, ended, queued
from umbel.monitor.history import History
from umbel.monitor.totals import SPANS, step_for

NOW = 1_800_000_000.0 // 86_400 * 86_400 + 3600


@pytest.fixture
def filled(history: History) -> History:
    recorder = Recorder(history)
    for number, ago in enumerate([60, 120, 180, 4000, 90_000]):
        at, name, task = NOW - ago, f"job-{number}", f"shop.t{number % 2}"
        state = "FAILURE" if number == 2 else "SUCCESS"
        end = ended(name, state, at + 1, ran=2.0, queue=f"q{number % 2}")
        recorder.tell(queued(name, at, queue=f"q{number % 2}", task=task), end)
    return history


@pytest.mark.parametrize(
    ("span", "succeeded", "failed"),
    [("hour", {"shop.t0": 1, "shop.t1": 1}, 1), ("day", {"shop.t0": 1, "shop.t1": 2}, 1), ("week", {"shop.t0": 2}, 1)],
)
def test_each_task_has_its_sums(filled: History, span: str, succeeded: dict[str, int], failed: int) -> None:
    found = filled.totals.by("task", since=NOW - SPANS[span], until=NOW)
    assert {name: found[name].counts["succeeded"] for name in succeeded} == succeeded
    assert found["shop.t0"].counts["failed"] == failed
    assert found["shop.t0"].ended == succeeded["shop.t0"] + failed
    assert found["shop.t1"].failure_share == 0.0
    assert found["shop.t0"].failure_share == pytest.approx(failed / (succeeded["shop.t0"] + failed))


def test_lengths_of_time_are_spread(filled: History) -> None:
    found = filled.totals.by("queue", since=NOW - SPANS["week"], until=NOW)
    assert set(found) == {"q0", "q1"}
    waited, ran = found["q0"].waited.quantile(0.5), found["q0"].ran.quantile(0.5)
    assert waited is not None
    assert ran is not None
    assert 0.7 < waited < 1.4 < ran < 2.9
    assert found["q0"].ran.total == 3


def test_sums_of_one_task_or_queue_alone(filled: History) -> None:
    week = {"since": NOW - SPANS["week"], "until": NOW}
    assert set(filled.totals.by("task", queue="q1", **week)) == {"shop.t1"}
    assert set(filled.totals.by("queue", task="shop.t0", **week)) == {"q0"}
    assert filled.totals.by("queue", task="shop.unheard", **week) == {}
    assert filled.totals.knows("task", "shop.t0")
    assert not filled.totals.knows("queue", "shop.t0")


def test_nothing_is_summed_of_nothing(history: History) -> None:
    assert history.totals.by("task", since=0, until=time.time()) == {}


def test_long_times_are_read_in_long_steps() -> None:
    assert [step_for(seconds) for seconds in (60, 7200, 7201, 259_200, 604_800)] == [60, 60, 3600, 3600, 86_400]
