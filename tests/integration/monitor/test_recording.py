"""A worker's jobs in the history: the recorder beside it is a process of its own, and is killed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.integration.worker.plant import Plant, Worker, planted, until
from umbel.monitor.history import History
from umbel.monitor.job_filter import JobFilter
from umbel.states import JobState


@pytest.fixture(params=["sqlite", "redis"])
def plant(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Plant]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None
    with planted(tmp_path, url) as made:
        yield made


@pytest.fixture
def history(plant: Plant) -> Iterator[History]:
    opened = History(f"sqlite:///{plant.folder / 'history.db'}")
    yield opened
    opened.close()


def start(plant: Plant, *arguments: str) -> Worker:
    """Start a worker, and wait until what it does is recorded."""
    worker = plant.start(*arguments, UMBEL_HISTORY="1", UMBEL_HISTORY_URL=f"sqlite:///{plant.folder / 'history.db'}")
    until(plant.engine.events.is_kept, f"a recorder; {plant.logs()}")
    return worker


def recorders(worker: Worker) -> list[psutil.Process]:
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(worker.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "umbel.monitor" in child.cmdline():
                    found.append(child)
    return found


def test_c14_jobs_are_in_the_history_whole_although_recorders_are_killed(plant: Plant, history: History) -> None:
    worker = start(plant)
    sent: list[str] = []
    for number in range(3):
        sent += plant.send_many("say", [(f"w{number}-{one}",) for one in range(200)])
        for process in recorders(worker):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        until(lambda: bool(recorders(worker)), f"another recorder; {plant.logs()}")
    until(plant.empty, f"an empty queue; {plant.logs()}")
    done = JobFilter(states=frozenset({JobState.SUCCEEDED}))
    until(lambda: history.jobs.count(done).number == len(sent), f"all in the history; {plant.logs()}")
    page = history.jobs.find(done, limit=500)
    page_two = history.jobs.find(done, limit=500, before=page.next)
    found = (*page.jobs, *page_two.jobs)
    assert {job.id for job in found} == set(sent)
    assert {job.attempts for job in found} == {1}
    assert {job.task for job in found} == {plant.task("say")}
    assert all(job.waited is not None and job.ran is not None for job in found)
    # It ends with its worker.
    process = recorders(worker)[0]
    worker.stop()
    until(lambda: not process.is_running(), "the recorder to end")


@pytest.mark.parametrize("pool", ["default", "prefork"])
def test_c23_each_end_is_in_the_history_as_it_was(plant: Plant, history: History, pool: str) -> None:
    start(plant, "--pool", pool)
    good, bad = plant.send("say", "hello"), plant.send("charge", "g", "x")
    plant.ended(good)
    plant.ended(bad)
    until(lambda: history.jobs.count().number == 2, f"both in the history; {plant.logs()}")

    def over() -> bool:
        return all(job.state.finished for job in history.jobs.find().jobs)

    until(over, f"their ends in the history; {plant.logs()}")
    found = history.jobs.job(good)
    assert (found.job.state, found.result, found.job.attempts) == (JobState.SUCCEEDED, '"hello"', 1)
    assert found.arguments == '[["hello"],{}]'
    assert found.job.worker is not None or pool == "prefork"
    assert found.job.ran is not None
    failed = history.jobs.job(bad)
    assert failed.job.state is JobState.FAILED
    assert failed.job.error_type is not None
    assert failed.attempts[-1].traceback
    assert failed.has_message


def test_c43_control_commands_and_their_answers_are_no_jobs(plant: Plant, history: History) -> None:
    start(plant)
    until(lambda: plant.app.control.inspect(timeout=5, limit=1)._request("umbel_profile"), "the worker answers")
    assert plant.app.control.ping(timeout=5, limit=1)
    done = plant.send("say", "hello")
    until(lambda: [one.id for one in history.jobs.find().jobs if one.state is JobState.SUCCEEDED] == [done], "recorded")
    assert [one.id for one in history.jobs.find().jobs] == [done]
