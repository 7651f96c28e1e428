"""C19: SIGHUP reloads gracefully: new code first, then the old processes drain, and no job is lost."""

from __future__ import annotations

import signal

import psutil

from tests.integration.worker.plant import Plant, until
from umbel import JobState


def new_code(plant: Plant) -> None:
    code = plant.code.read_text()
    assert 'tell("say", word)' in code
    # Of another length: a module that was compiled within this second is told from its new text by that only.
    plant.code.write_text(code.replace('tell("say", word)', 'tell("new", word)  # new'))


def test_new_processes_take_over_before_the_old_ones_end_c19(plant: Plant) -> None:
    worker = plant.start(processes=2)
    old = {child.pid for child in worker.children()}
    long = plant.send("hold", "long")
    (holder,) = {line.pid for line in plant.until_told("hold", "long")}
    assert holder in old
    new_code(plant)
    worker.send(signal.SIGHUP)
    until(lambda: len({child.pid for child in worker.children()} - old) == 2, "two new processes")
    # The old process still drains: what comes now is run by the new code, not after it.
    until(lambda: plant.send("say", "hello") and plant.lines("new", "hello"), "the new code", 25)
    assert not {line.pid for line in plant.lines("new")} & old
    assert psutil.pid_exists(holder)
    assert not plant.lines("released")
    plant.open("long")
    assert plant.ended(long).state is JobState.SUCCEEDED
    until(lambda: not old & {child.pid for child in worker.children()}, "the end of the old processes")
    assert len(plant.lines("hold", "long")) == 1
    assert worker.stop() == 0


def test_reload_under_load_loses_nothing_c14_c19(plant: Plant) -> None:
    """C14, C15: every job runs once, across three reloads."""
    worker = plant.start("--loglevel", "WARNING", processes=2)
    jobs = []
    for turn in range(3):
        jobs += plant.send_many("say", [f"{turn}-{number}" for number in range(700)])
        old = {child.pid for child in worker.children()}
        worker.send(signal.SIGHUP)
        until(lambda old=old: not old & {c.pid for c in worker.children()}, "the end of the old processes")  # type: ignore[misc]
    until(plant.empty, "an empty queue")
    words = sorted(line.words[1] for line in plant.lines("say"))
    assert words == sorted(f"{turn}-{number}" for turn in range(3) for number in range(700))
    assert {plant.state(job) for job in jobs} == {JobState.SUCCEEDED}


def test_new_code_that_does_not_start_leaves_the_old_processes_c19(plant: Plant) -> None:
    """C14, C19: a bad release takes nothing down, and the next reload brings the mended one."""
    worker = plant.start(processes=2)
    old = {child.pid for child in worker.children()}
    good = plant.code.read_text()
    plant.code.write_text(good + "\nraise RuntimeError('half saved')\n")
    worker.send(signal.SIGHUP)
    until(lambda: "the old processes stay" in worker.text(), "the supervisor's word")
    assert plant.ended(plant.send("say", "patience")).state is JobState.SUCCEEDED
    until(lambda: {child.pid for child in worker.children()} == old, "the old processes alone")
    plant.code.write_text(good)
    worker.send(signal.SIGHUP)
    until(lambda: not old & {child.pid for child in worker.children()}, "the end of the old processes")
    assert plant.ended(plant.send("say", "mended")).state is JobState.SUCCEEDED
    assert worker.stop() == 0


def test_what_remote_control_shuts_down_stays_down_until_a_reload_c45(plant: Plant) -> None:
    """C45: one node of two is not replaced; SIGHUP brings it back; with the last one the supervisor ends, well."""
    worker = plant.start(processes=2)
    first, second = sorted(status.hostname for status in plant.engine.workers())
    # A worker fetches a moment before it listens.
    until(lambda: len(plant.app.control.ping(timeout=5, limit=2)) == 2, "both listen")
    plant.app.control.shutdown(destination=[first])
    until(lambda: "is not replaced" in worker.text(), "the supervisor's word")
    until(lambda: plant.fetching(worker) == 1, "one process fewer")
    assert plant.ended(plant.send("say", "alone")).state is JobState.SUCCEEDED
    assert [status.hostname for status in plant.engine.workers()] == [second]
    worker.send(signal.SIGHUP)
    until(lambda: plant.fetching(worker) == 2, "two processes again")
    until(lambda: len(plant.app.control.ping(timeout=5, limit=2)) == 2, "both listen")
    plant.app.control.shutdown()
    assert worker.wait() == 0
