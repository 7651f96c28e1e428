"""Where a job that runs stands just now: asked of its worker, in each pool, while jobs run."""

from __future__ import annotations

import pytest

from tests.integration.worker.plant import Plant, until
from umbel.monitor.whereabouts import Live, Place, Whereabouts
from umbel.state.events import Line


def found(plant: Plant, job: str, function: str) -> tuple[Whereabouts, Live]:
    """Where a job is, once its worker has said that it stands in ``function``."""
    seen: list[Whereabouts] = []

    def said() -> bool:
        seen.append(plant.app.where.find(job))
        live = seen[-1].live
        return live is not None and any(frame.function == function for frame in live.frames)

    until(said, f"a stack of {job} in {function}")
    live = seen[-1].live
    assert live is not None
    return seen[-1], live


def test_a_plain_function_shows_its_frames(crew: Plant) -> None:
    job = crew.send("hold", "gate")
    crew.until_told("hold", "gate")
    where, live = found(crew, job, "hold")
    crew.open("gate")
    assert (where.place, where.code, where.queue) == (Place.RUNNING, "running", "celery")
    assert live.frames[0].function == "hold"
    assert live.frames[0].file == "plant_jobs.py"
    assert not live.silent
    assert live.since is not None
    assert where.worker == live.worker
    assert crew.ended(job).state.finished


def test_a_coroutine_shows_its_awaits(crew: Plant) -> None:
    job = crew.send("ahold", "gate")
    crew.until_told("hold", "gate")
    _, live = found(crew, job, "sleep")
    crew.open("gate")
    assert live.frames[0].function == "ahold"
    assert crew.ended(job).state.finished


def test_its_last_lines_come_along(crew: Plant) -> None:
    job = crew.send("chatter", "gate")
    crew.until_told("hold", "gate")
    _, live = found(crew, job, "chatter")
    crew.open("gate")
    assert [line.text for line in live.lines] == ["it is gate", "printed gate"]
    assert crew.ended(job).state.finished


@pytest.mark.stores("sqlite")
def test_a_child_that_cannot_answer_is_said_to_be_silent(plant: Plant) -> None:
    """It sits in C code that lets no other thread run; its worker answers all the same."""
    plant.start("-P", "prefork", "--loglevel", "WARNING", concurrency=1)
    job = plant.send("grip", "gate")
    plant.until_told("hold", "gate")

    def silent() -> bool:
        live = plant.app.where.find(job).live
        return live is not None and live.silent

    until(silent, "a child that is silent")
    where = plant.app.where.find(job)
    assert where.place is Place.RUNNING
    assert any("does not answer" in note for note in where.notes)


@pytest.mark.pools("default")
def test_c45_it_is_a_command_of_celerys_inspect(crew: Plant) -> None:
    job = crew.send("hold", "gate")
    crew.until_told("hold", "gate")
    inspect = crew.app.control.inspect([crew.engine.workers()[0].hostname], timeout=30.0)
    replies = inspect._request("live", task_id=job)
    crew.open("gate")
    assert [one["state"] for one in replies.values()] == ["running"]
    assert crew.ended(job).state.finished
    assert not inspect._request("live", task_id=job).popitem()[1]["here"]


def test_what_a_job_logs_is_told_with_its_end(crew: Plant) -> None:
    """Whatever thread or child of a pool it runs in; one that logs nothing tells nothing."""
    events = crew.engine.events
    events.expect(60)
    # Workers believe for two seconds what they have heard.
    until(lambda: _told(crew, _quiet(crew)) == [], "an end that is told, without lines")
    crew.open("gate")
    job = crew.send("chatter", "gate")
    crew.ended(job)
    until(lambda: _told(crew, job), f"the end of {job}")
    lines = _told(crew, job)
    assert lines is not None
    assert [(line.level, line.text) for line in lines] == [("WARNING", "it is gate"), ("PRINT", "printed gate")]
    events.expect(0)


def test_what_runs_for_long_is_told_to_have_begun(crew: Plant) -> None:
    """Once, with its worker and since when; of what is quick, in the default pool, nothing but its end."""
    events = crew.engine.events
    events.expect(60)
    until(lambda: _told(crew, _quiet(crew)) == [], "an end that is told")
    job = crew.send("hold", "gate")
    until(lambda: _states(crew, job) == ["STARTED"], f"the beginning of {job}")
    crew.open("gate")
    crew.ended(job)
    until(lambda: _states(crew, job) == ["STARTED", "SUCCESS"], f"the end of {job}")
    events.expect(0)


def _states(plant: Plant, job: str) -> list[str]:
    logged = plant.engine.events.read(1000)
    events = logged.events if logged is not None else ()
    return [end.state for event in events for end in getattr(event, "ends", ()) if end.task_id == job]


def _quiet(plant: Plant) -> str:
    job = plant.send("say", "nothing")
    plant.ended(job)
    return job


def _told(plant: Plant, job: str) -> list[Line] | None:
    """The lines of a job's end, if that was told; None before."""
    logged = plant.engine.events.read(1000)
    for event in logged.events if logged is not None else ():
        for end in getattr(event, "ends", ()):
            if end.task_id == job and end.ended:
                return list(end.lines.lines) if end.lines is not None else []
    return None
