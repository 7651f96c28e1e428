"""What a person may do on RabbitMQ, with either state store beside it: messages are no rows of ours (C22, C36)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.on_rabbit.conftest import Start, umbel_command, until
from tests.integration.operations.stand import ANN, failed
from umbel import JobState, Umbel
from umbel.monitor.job_filter import JobFilter
from umbel.monitor.recorder import Recorder


@pytest.fixture(autouse=True)
def _history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_HISTORY_URL", f"sqlite:///{tmp_path / 'history.db'}")


def test_c36_jobs_are_cancelled_retried_and_run_again(umbel: Umbel, start: Start, tmp_path: Path) -> None:
    umbel.engine.events.expect()
    recorder, do, mended = Recorder(umbel.engine, umbel.history), umbel.operations, tmp_path / "mended"

    def states() -> dict[str, JobState]:
        while recorder.step():
            pass
        return {row.id: row.state for row in umbel.history.jobs.find().jobs}

    umbel.send_task("shared.add", (1, 1)).forget()
    do.queues.pause("shared", by=ANN)
    ids = [str(umbel.send_task("shared.unless", (str(mended),)).id) for _ in range(3)]
    unless = JobFilter(task="shared.unless")
    until(lambda: set(ids) <= states().keys(), "them in the history")
    selection = do.jobs.preview(unless)
    assert selection.count == 3
    assert do.jobs.cancel(ids[0], by=ANN).state is JobState.CANCELLED
    start(*umbel_command())
    do.queues.resume("shared", by=ANN)
    until(lambda: list(states().values()).count(JobState.FAILED) == 2, "two to fail")
    assert states()[ids[0]] is JobState.CANCELLED
    mended.touch()
    outcome = do.jobs.retry_all(do.jobs.preview(failed(task="shared.unless")), by=ANN)
    assert (outcome.done, outcome.left_alone) == (2, 0)
    until(lambda: list(states().values()).count(JobState.SUCCEEDED) >= 3, "both to succeed")
    assert not umbel.dead_letters.find()
    assert do.jobs.delete_all(do.jobs.preview(unless), by=ANN).done == 3
    assert not set(ids) & states().keys()
    assert [entry.action for entry in umbel.history.audit.find().entries] == [
        "jobs.delete",
        "jobs.retry",
        "queue.resume",
        "job.cancel",
        "queue.pause",
    ]
    umbel.close_databases()
