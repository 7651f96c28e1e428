"""C45: plain Celery's clients and workers, and Umbel's, on one RabbitMQ."""

from __future__ import annotations

import time
from typing import Any

import pytest
from celery import Celery

from tests.integration.on_rabbit.conftest import WAIT, umbel_command, until
from umbel import JobState, Umbel


@pytest.fixture
def state_url(redis_url: str) -> str:
    """Results that both sides read."""
    return redis_url


def test_c45_a_plain_client_dispatches_to_umbels_worker(plain: Celery, umbel: Umbel, umbel_worker: Any) -> None:
    assert plain.send_task("shared.add", (2, 3)).get(timeout=WAIT) == 5
    assert plain.send_task("shared.where").get(timeout=WAIT) == "umbel"
    failed = plain.send_task("shared.fail")
    with pytest.raises(ValueError, match="as told"):
        failed.get(timeout=WAIT)
    assert umbel.status(failed.id).state is JobState.FAILED


def test_c45_umbels_client_dispatches_to_a_plain_worker(umbel: Umbel, celery_worker: Any) -> None:
    assert umbel.send_task("shared.add", (2, 3)).get(timeout=WAIT) == 5
    assert umbel.send_task("shared.where").get(timeout=WAIT) == "celery"
    failed = umbel.send_task("shared.fail")
    with pytest.raises(ValueError, match="as told"):
        failed.get(timeout=WAIT)
    began = time.time()
    assert umbel.send_task("shared.add", (1, 1), countdown=1.5).get(timeout=WAIT) == 2
    assert time.time() - began > 1.0


def test_c45_a_plain_clients_eta_waits_at_the_broker(plain: Celery, umbel: Umbel, umbel_worker: Any) -> None:
    began = time.time()
    result = plain.send_task("shared.add", (1, 1), countdown=3)
    assert result.get(timeout=WAIT) == 2
    assert time.time() - began > 2.5


def test_c45_both_kinds_of_workers_share_a_queue(
    plain: Celery, umbel: Umbel, umbel_worker: Any, celery_worker: Any
) -> None:
    """Both take from it, and every job runs once."""
    until(lambda: _consumers(umbel) == 2, "both consume")
    results = [(plain if number % 2 else umbel).send_task("shared.where") for number in range(200)]
    ran = [result.get(timeout=WAIT) for result in results]
    assert set(ran) == {"umbel", "celery"}
    assert len(ran) == 200


def _consumers(umbel: Umbel) -> int:
    return sum(one.consumers for one in umbel.engine.queues() if one.name == "shared")


def test_c45_remote_control_and_purge(plain: Celery, umbel: Umbel, umbel_worker: Any) -> None:
    assert plain.send_task("shared.add", (1, 1)).get(timeout=WAIT) == 2
    (answer,) = plain.control.ping(timeout=WAIT, limit=1)
    assert list(answer.values()) == [{"ok": "pong"}]
    inspect = umbel.control.inspect(timeout=WAIT, limit=1)
    assert "shared.add" in next(iter(inspect.registered().values()))
    assert next(iter(inspect.stats().values()))["pool"]["max-concurrency"] == 4
    umbel.control.broadcast("cancel_consumer", arguments={"queue": "shared"}, reply=True, timeout=WAIT, limit=1)
    until(lambda: _consumers(umbel) == 0, "it consumes no more")
    waiting = umbel.send_task("shared.add", (1, 1))
    until(lambda: umbel.engine.names.size("shared") == 1, "it waits")
    assert umbel.control.purge() == 1
    kept = umbel.send_task("shared.add", (2, 2))
    umbel.control.broadcast("add_consumer", arguments={"queue": "shared"}, reply=True, timeout=WAIT, limit=1)
    assert kept.get(timeout=WAIT) == 4
    assert umbel.status(waiting.id).state is JobState.QUEUED, "the broker does not tell whom a purge has hit"
    umbel.control.broadcast("pool_grow", arguments={"n": 2}, reply=True, timeout=WAIT, limit=1)
    assert next(iter(inspect.stats().values()))["pool"]["max-concurrency"] == 6


def test_c45_a_queue_that_somebody_else_has_declared_is_used_as_it_is(plain: Celery, umbel: Umbel, start: Any) -> None:
    plain.conf.task_default_queue_type = "classic"
    result = plain.send_task("shared.add", (1, 2))
    start(*umbel_command())
    assert result.get(timeout=WAIT) == 3
    assert umbel.send_task("shared.add", (2, 2)).get(timeout=WAIT) == 4
    assert umbel.send_task("shared.add", (2, 3), countdown=1).get(timeout=WAIT) == 5
