"""How long the history keeps what."""

from __future__ import annotations

import shutil
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.integration.monitor.events import Recorder, ended, failure, queued
from tests.integration.monitor.tally import tally_is_right
from umbel.monitor import retention
from umbel.monitor.history import History
from umbel.monitor.retention import Limit, Retention
from umbel.monitor.tables import ATTEMPTS, JOBS, MESSAGES, ROLLUPS, TAGS
from umbel.states import JobState

DAY = 86_400.0


@pytest.fixture
def filled(history: History, monkeypatch: pytest.MonkeyPatch) -> History:
    """Of each of thirty days, until now, a job that succeeded, one that failed, and one that waits."""
    monkeypatch.setattr(retention, "_AT_A_TIME", 4)
    events: list[Any] = []
    for day in range(30):
        at = time.time() - (30 - day) * DAY + 60
        events += [queued(f"{kind}-{day}", at, umbel_tags=["t"]) for kind in ("good", "bad", "waits")]
        events += [ended(f"good-{day}", started=at + 1)]
        events += [ended(f"bad-{day}", "FAILURE", started=at + 1, document=failure(f"bad-{day}"))]
    Recorder(history).tell(*events)
    return history


def left(history: History) -> dict[str, int]:
    with history.database.reading() as connection:
        found = connection.execute(select(JOBS.c.state, func.count()).group_by(JOBS.c.state)).all()
    return {row[0]: row[1] for row in found}


def test_by_age_for_each_state(filled: History) -> None:
    kept = Retention(
        jobs={JobState.SUCCEEDED: Limit(age=timedelta(days=5)), JobState.FAILED: Limit(age=timedelta(days=20))}
    )
    assert filled.prune(kept) == 25 + 10
    assert left(filled) == {"succeeded": 5, "failed": 20, "queued": 30}
    assert tally_is_right(filled)
    assert filled.jobs.job("good-25").job.state is JobState.SUCCEEDED
    assert filled.prune(kept) == 0


def test_by_count_for_each_state(filled: History) -> None:
    """The newest are kept."""
    assert filled.prune(Retention(jobs={JobState.FAILED: Limit(most=7), JobState.QUEUED: Limit(most=29)})) == 23 + 1
    assert left(filled) == {"succeeded": 30, "failed": 7, "queued": 29}
    assert [one.id for one in filled.jobs.find().jobs if one.state is JobState.FAILED][-1] == "bad-23"


def test_a_state_that_does_not_end_goes_by_its_dispatch(filled: History) -> None:
    assert filled.prune(Retention(jobs={JobState.QUEUED: Limit(age=timedelta(days=10))})) == 20
    assert left(filled)["queued"] == 10


def test_what_hangs_on_a_job_goes_with_it(filled: History) -> None:
    assert filled.prune(Retention(jobs=dict.fromkeys(JobState, Limit(most=0)))) == 90
    assert not tally_is_right(filled)
    with filled.database.reading() as connection:
        for table in (JOBS, ATTEMPTS, TAGS, MESSAGES):
            assert connection.scalar(select(func.count()).select_from(table)) == 0, table
    # A number is given once.
    Recorder(filled, "other").tell(queued("new"))
    assert filled.jobs.find().jobs[0].number == 91


def test_the_default_keeps_what_waits_and_fewer_successes(filled: History) -> None:
    filled.prune(Retention())
    assert left(filled) == {"succeeded": 7, "failed": 30, "queued": 30}


def test_rollups_outlive_jobs_and_go_by_their_step(filled: History) -> None:
    filled.prune(Retention(jobs=dict.fromkeys(JobState, Limit(most=0))))
    with filled.database.reading() as connection:
        found = dict(connection.execute(select(ROLLUPS.c.step, func.count()).group_by(ROLLUPS.c.step)).all())
    assert found[60] < 12
    assert found[3600] >= 30
    assert found[86_400] >= 30


def test_a_file_shrinks(tmp_path: Path, made_file: Path) -> None:
    path = tmp_path / "history.db"
    shutil.copy(made_file, path)
    history = History(f"sqlite:///{path}")
    Recorder(history).tell(*[queued(f"job-{number}", args=["x" * 4000]) for number in range(300)])
    history.prune(Retention(jobs=dict.fromkeys(JobState, Limit(most=0))))
    history.close()
    assert path.stat().st_size < made_file.stat().st_size + 400_000
