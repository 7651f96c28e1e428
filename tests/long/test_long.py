"""The short campaigns of the suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.long.crowd import crowd
from tests.long.job import job


@pytest.mark.slow
@pytest.mark.serial
def test_c16_twenty_thousand_delayed_jobs_leave_worker_memory_flat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need_program("redis-server")
    figures = dict(crowd(tmp_path, jobs=20_000))
    with capsys.disabled():
        print(f"\nlong crowd {figures}")
    assert "fault" not in figures
    assert figures["waiting"] == 20_000


def test_c15_the_long_job_campaign_runs(tmp_path: Path) -> None:
    """How long it is decides what it shows; here only that its judge sees what it is there to see."""
    need_program("redis-server")
    assert dict(job(tmp_path, seconds=1.0, plain=False))["umbel_times_begun"] == 1
