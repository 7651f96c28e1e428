"""C35, C36: dead letters and their replays on RabbitMQ, with either state store beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.integration.on_rabbit.conftest import Start, umbel_command, until
from umbel import JobState, Umbel
from umbel.engine.failures import failures_in
from umbel.jobs.dead_letters import LetterFilter, ReplayPolicy


def test_c35_c36_a_failure_is_a_letter_with_its_attempts_and_is_replayed(
    umbel: Umbel, umbel_worker: Any, tmp_path: Path
) -> None:
    path = tmp_path / "mended"
    job = str(umbel.send_task("shared.unless", (str(path),), headers={"umbel_owner": "ann"}).id)
    letters = umbel.dead_letters
    until(lambda: umbel.engine.dead(), "the letter")
    letter = letters.show(job)
    assert (letter.owner, letter.queue, letter.exception) == ("ann", "shared", "ValueError")
    assert [one.attempt for one in failures_in(letter.failures)] == [0, 1]
    assert umbel.status(job).state is JobState.FAILED

    letters.replay(job)
    until(lambda: letters.show(job).id > letter.id, "the replay has failed")
    again = letters.show(job)
    assert (again.replays, again.replaying) == (1, False)
    assert len(failures_in(again.failures)) == 4

    path.touch()
    assert letters.replay_all(LetterFilter(task="shared.unless")).count == 1
    until(lambda: not umbel.engine.dead(), "the letter is closed")
    assert umbel.status(job).state is JobState.SUCCEEDED


def test_c36_a_replay_whose_publisher_died_is_published_by_another(
    umbel: Umbel, start: Start, tmp_path: Path, monkeypatch: Any
) -> None:
    """The state store has marked the letter, and its message stands in the outbox: a worker sends it."""
    worker = start(*umbel_command())
    path = tmp_path / "mended"
    job = str(umbel.send_task("shared.unless", (str(path),)).id)
    until(lambda: umbel.engine.dead(), "the letter")
    path.touch()
    monkeypatch.setattr(umbel.engine.outbox, "publish", lambda posted: None)  # type: ignore[attr-defined]
    assert umbel.dead_letters.sweep(ReplayPolicy(older_than=0)).count == 1
    assert umbel.dead_letters.show(job).replaying
    until(lambda: not umbel.engine.dead(), "the letter is closed")
    assert worker.poll() is None
