"""How a worker finds its application and its store when it starts."""

from __future__ import annotations

import shutil

import pytest

from tests.integration.worker.plant import Plant, until
from umbel import JobState


@pytest.mark.stores("sqlite")
def test_worker_before_the_file_exists_c14(plant: Plant) -> None:
    """A worker that is started first makes the store; the client finds it (C14)."""
    assert not plant.store.parent.exists()
    worker = plant.start(ready=False)
    until(lambda: "takes jobs from" in worker.text(), "a worker that is ready")
    assert plant.store.stat().st_mode & 0o777 == 0o600
    assert plant.ended(plant.send("say", "hello")).state is JobState.SUCCEEDED


def test_job_dispatched_before_any_worker_c14(plant: Plant) -> None:
    """C14: what was dispatched to an empty house is there when somebody comes."""
    jobs = [plant.send("say", f"w{number}") for number in range(20)]
    assert {plant.state(job) for job in jobs} == {JobState.QUEUED}
    plant.start()
    assert {plant.ended(job).state for job in jobs} == {JobState.SUCCEEDED}


def test_application_below_a_namespace_package(plant: Plant) -> None:
    """A folder without ``__init__.py`` between a package and the module is a package like any other."""
    home = plant.folder / "house" / "rooms"
    home.mkdir(parents=True)
    (home.parent / "__init__.py").touch()
    shutil.copyfile(plant.code, home / "plant_jobs.py")
    worker = plant.start(app="house.rooms.plant_jobs:app", ready=False)
    until(lambda: "takes jobs from" in worker.text() or worker.process.poll() is not None, "a worker that is ready")
    assert worker.process.poll() is None, worker.text()
