"""What survives what on RabbitMQ: killed workers, poison, lost connections, a broker that dies and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import chord

from tests.integration.on_rabbit.conftest import WAIT, Start, children, lines, umbel_command, until
from tests.rabbit import RabbitServer
from umbel import JobState, Umbel

pytestmark = pytest.mark.slow


@pytest.fixture
def state_url(redis_url: str) -> str:
    """The state stores are shown to be alike by their contract."""
    return redis_url


def begun(path: Path) -> int:
    return sum(line.startswith("begin") for line in lines(path))


def test_c14_a_killed_process_loses_nothing(umbel: Umbel, start: Start, tmp_path: Path) -> None:
    """What it ran starts again, what it had only been sent goes to others, and a chord is called back once."""
    umbel.set_current()
    worker = start(*umbel_command())
    marks = [tmp_path / f"mark-{number}" for number in range(6)]
    results = [umbel.send_task("shared.mark", (str(path), 2.0)) for path in marks]
    slow, total = umbel.signature("shared.slow_add"), umbel.signature("shared.total")
    called = chord([slow.clone((number, 0.3)) for number in range(8)], total)()
    until(lambda: sum(map(begun, marks)) >= 4, "all slots are busy")
    (child,) = children(worker)
    child.kill()
    assert [result.get(timeout=WAIT) for result in results] == [str(path) for path in marks]
    assert called.get(timeout=WAIT) == 28
    assert all(begun(path) <= 2 for path in marks)
    until(lambda: umbel.engine.suspects() == 0, "no suspect is left")
    assert umbel.engine.dead() == []


def test_c17_poison_ends_as_a_dead_letter(
    umbel: Umbel, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UMBEL_CRASH_LIMIT", "2")
    start(*umbel_command())
    poison = umbel.send_task("shared.die", (str(tmp_path / "poison"),))
    innocent = umbel.send_task("shared.slow_add", (7, 0.5))
    assert innocent.get(timeout=WAIT) == 7
    until(lambda: umbel.status(poison.id).state is JobState.FAILED, "it has failed")
    (letter,) = umbel.engine.dead()
    assert letter.task_id == poison.id
    assert "worker lost" in letter.reason
    assert begun(tmp_path / "poison") <= 3
    assert umbel.send_task("shared.add", (1, 1)).get(timeout=WAIT) == 2


def test_c15_a_job_goes_on_when_its_connection_is_lost_and_when_it_lasts_too_long_for_the_broker(
    umbel: Umbel, start: Start, rabbit_server: RabbitServer, tmp_path: Path
) -> None:
    """Two processes: what the broker delivers again, to either, is known and not run again."""
    start(*umbel_command(processes=2))
    path = tmp_path / "mark"
    result = umbel.send_task("shared.mark", (str(path), 9.0))
    until(lambda: begun(path) == 1, "it runs")
    seconds = rabbit_server.control("eval", "application:set_env(rabbit, consumer_timeout, 2000).")
    try:
        host = umbel.engine.url.rpartition("/")[2]  # type: ignore[attr-defined]
        rabbit_server.control("close_all_connections", "--vhost", host, "as a test wants it")
        assert result.get(timeout=WAIT) == str(path)
    finally:
        rabbit_server.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
    assert seconds
    until(lambda: umbel.engine.names.size("shared") == 0, "nothing waits")
    until(lambda: sum(one.in_flight for one in umbel.engine.workers()) == 0, "nothing is held")
    assert lines(path)[1:] == ["end"]
    assert umbel.send_task("shared.add", (1, 1)).get(timeout=WAIT) == 2


def test_c14_the_broker_is_killed_and_comes_back(
    umbel: Umbel, start: Start, rabbit_server: RabbitServer, tmp_path: Path
) -> None:
    path = tmp_path / "mark"
    delayed = umbel.send_task("shared.add", (1, 1), countdown=3)
    start(*umbel_command())
    running = umbel.send_task("shared.mark", (str(path), 3.0))
    until(lambda: begun(path) == 1, "it runs")
    waiting = [umbel.send_task("shared.slow_add", (number, 0.2)) for number in range(8)]
    rabbit_server.kill()
    rabbit_server.start()
    assert running.get(timeout=2 * WAIT) == str(path)
    assert [one.get(timeout=2 * WAIT) for one in waiting] == list(range(8))
    assert delayed.get(timeout=2 * WAIT) == 2
    assert lines(path)[1:] == ["end"]


def test_c35_what_the_broker_drops_is_a_dead_letter(
    umbel: Umbel, umbel_worker: Any, rabbit_server: RabbitServer
) -> None:
    assert umbel.send_task("shared.add", (1, 1)).get(timeout=WAIT) == 2
    host = umbel.engine.url.rpartition("/")[2]  # type: ignore[attr-defined]
    policy = '{"message-ttl": 1, "dead-letter-exchange": "umbel.dead"}'
    rabbit_server.control("set_policy", "-p", host, "drop", "^lost$", policy, "--apply-to", "queues")
    lost = umbel.send_task("shared.add", (1, 1), queue="lost")
    until(lambda: [letter.task_id for letter in umbel.engine.dead()] == [lost.id], "it is a dead letter")
    (letter,) = umbel.engine.dead()
    assert (letter.queue, letter.reason) == ("lost", "dropped by the broker: expired")
