"""What the first page reads: one pass over the rollups tells what many readings would."""

from __future__ import annotations

import pytest

from tests.integration.monitor.events import START
from tests.integration.monitor.test_state_counts import fill
from umbel.monitor.breakdown import breakdown
from umbel.monitor.history import History


@pytest.mark.parametrize("step", [60, 180])
def test_one_reading_tells_what_many_would(history: History, step: int) -> None:
    fill(history)
    since, until = START - 60, START + 1800.5
    found = breakdown(history.database, since=since, until=until, step=step)
    assert found.points == history.charts.series(since=since, until=until, step=step)
    for name, total in found.tasks.items():
        points = history.charts.series(since=since, until=until, step=step, task=name)
        assert total.counts == {word: sum(point.counts[word] for point in points) for word in total.counts}
    assert set(found.tasks) == {"shop.t0", "shop.t1", "shop.t2"}
    for name in ("q0", "q1"):
        points = history.charts.series(since=since, until=until, step=step, queue=name)
        assert found.waits[name] == tuple(point.waited_p95 for point in points)
    assert (found.first, found.step) == (int(since // step) * step, step)


def test_a_time_in_which_nothing_happened_has_its_points(history: History) -> None:
    found = breakdown(history.database, since=START, until=START + 3600, step=60)
    assert len(found.points) == 60
    assert not any(any(point.counts.values()) for point in found.points)
    assert (found.tasks, found.queues, found.waits) == ({}, {}, {})


def test_a_step_that_is_none_is_refused(history: History) -> None:
    with pytest.raises(ValueError, match="multiple of 60 seconds"):
        breakdown(history.database, since=START, until=START + 3600, step=90)
