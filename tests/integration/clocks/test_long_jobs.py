"""C15: a job that outlives many leases runs once, while its host renews."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.worker.plant import Plant, Worker, planted

#: Five times as fast as they are made, in the processes of this test.
SHORT = """
from umbel.engine import fetcher, leases, redis
leases.LEASE_SECONDS = 3.0
redis._RENEW_SECONDS = 0.6
fetcher._REAP_SECONDS = 1.0
"""
LEASES = 8


def start(plant: Plant, name: str) -> Worker:
    """Start a worker as on a host of its own: its lease is judged by its beat alone."""
    folder = plant.folder / name
    folder.mkdir()
    return plant.start(TMPDIR=str(folder), concurrency=1)


@pytest.mark.slow
@pytest.mark.serial
def test_c15_a_job_that_outlives_many_leases_runs_once(redis_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, redis_url) as plant:
        plant.code.write_text(plant.code.read_text() + SHORT)
        first = start(plant, "first")
        plant.send("sleep", "long", 3.0 * LEASES)
        plant.until_told("hold", "long")
        start(plant, "second")
        plant.until_told("released", "long")
        assert len(plant.lines("hold", "long")) == 1
        # The other one does watch: what a dead host held it takes.
        third = start(plant, "third")
        for name in ("a", "b", "c"):
            plant.send("hold", name)
        plant.until_told("hold", times=4)
        first.destroy()
        third.destroy()
        plant.open("a", "b", "c")
        for name in ("a", "b", "c"):
            plant.until_told("released", name)
        assert len(plant.lines("hold")) > 4
