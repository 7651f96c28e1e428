"""C28, C29, C31: jobs that wait for a lock or a breaker, with RabbitMQ's messages and the state store beside it."""

from __future__ import annotations

from pathlib import Path

from tests.integration.on_rabbit.conftest import WAIT, Start, lines, umbel_command, until
from umbel import JobState, Umbel

JOBS = 4


def test_c31_jobs_of_a_key_never_overlap_and_all_run(umbel: Umbel, start: Start, tmp_path: Path) -> None:
    start(*umbel_command(processes=2))
    path = tmp_path / "alone"
    sent = [umbel.send_task("shared.alone", (str(path), str(number))) for number in range(JOBS)]
    assert [result.get(timeout=2 * WAIT) for result in sent] == [str(number) for number in range(JOBS)]
    told = [line.split() for line in lines(path)]
    assert [kind for kind, _, _ in told] == ["enter", "leave"] * JOBS, "one is left before the next one begins"
    fences = [int(fence) for kind, _, fence in told if kind == "enter"]
    assert fences == sorted(set(fences))
    assert [stored.attempt for stored in umbel.engine.read([one.id for one in sent])] == [0] * JOBS, "C28"


def test_c29_jobs_wait_while_it_is_open_and_go_on_after_a_probe(umbel: Umbel, start: Start, tmp_path: Path) -> None:
    start(*umbel_command())
    path, words = tmp_path / "charge", [str(number) for number in range(5)]

    def ended(task_id: str, state: JobState) -> bool:
        return umbel.status(task_id).state is state

    for word in words[:2]:
        failed = umbel.send_task("shared.charge", (str(path), word)).id
        until(lambda task_id=failed: ended(task_id, JobState.FAILED), "it has failed")
    waiting = [umbel.send_task("shared.charge", (str(path), word)).id for word in words[2:]]
    until(lambda: any(ended(one, JobState.FAILED) for one in waiting), "a probe that failed")
    Path(f"{path}.up").touch()
    until(lambda: all(umbel.status(one).state.finished for one in waiting), "all have ended")
    assert sum(ended(one, JobState.SUCCEEDED) for one in waiting) >= len(waiting) - 2
    assert sorted(lines(path)) == words, "each ran once: who waits does not begin"
    assert {stored.attempt for stored in umbel.engine.read(waiting)} == {0}, "C28"
