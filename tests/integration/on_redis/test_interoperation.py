"""C45: plain Celery's clients and workers, and Umbel's, on one Redis."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from umbel import JobState, Umbel

WAIT = 30


def test_c45_a_plain_client_dispatches_to_umbels_worker(plain: Celery, umbel_worker: Any) -> None:
    assert plain.send_task("shared.add", (2, 3)).get(timeout=WAIT) == 5
    assert plain.send_task("shared.where").get(timeout=WAIT) == "umbel"
    with pytest.raises(ValueError, match="as told"):
        plain.send_task("shared.fail").get(timeout=WAIT)


def test_c45_umbels_client_dispatches_to_a_plain_worker(umbel: Umbel, celery_worker: Any) -> None:
    assert umbel.send_task("shared.add", (2, 3)).get(timeout=WAIT) == 5
    assert umbel.send_task("shared.where").get(timeout=WAIT) == "celery"
    failed = umbel.send_task("shared.fail")
    with pytest.raises(ValueError, match="as told"):
        failed.get(timeout=WAIT)
    assert failed.state == "FAILURE"


def test_c45_a_plain_clients_eta_waits_at_the_store(plain: Celery, umbel: Umbel, umbel_worker: Any) -> None:
    result = plain.send_task("shared.add", (1, 1), countdown=1.5)
    began = time.monotonic()
    assert result.get(timeout=WAIT) == 2
    assert time.monotonic() - began > 1.0


def test_c16_what_plain_clients_send_for_later_takes_no_room_in_a_worker(
    plain: Celery, umbel: Umbel, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """More of them than it has slots wait at the store, and what is due now runs now."""
    start("umbel", "worker", "-A", "tests.integration.on_redis.umbel_app:app", "--processes", "1", "-c", "2")
    later = [plain.send_task("shared.add", (1, 1), countdown=3600) for _ in range(50)]
    assert plain.send_task("shared.add", (2, 2)).get(timeout=WAIT) == 4
    assert {status.delayed for status in umbel.engine.queues() if status.name == "shared"} == {50}
    assert umbel.status(later[0].id).state is JobState.SCHEDULED
    assert umbel.cancel(later[0].id)


def test_c45_a_plain_clients_remote_control_reaches_umbels_worker(plain: Celery, umbel_worker: Any) -> None:
    assert plain.send_task("shared.add", (1, 1)).get(timeout=WAIT) == 2
    (answer,) = plain.control.ping(timeout=60, limit=1)
    assert list(answer.values()) == [{"ok": "pong"}]
    registered = plain.control.inspect(timeout=60, limit=1).registered()
    assert "shared.add" in next(iter(registered.values()))


def test_c45_both_kinds_of_workers_share_a_queue(
    plain: Celery, umbel: Umbel, umbel_worker: Any, celery_worker: Any
) -> None:
    """Both take from it, and every job runs once."""
    results = [(plain if number % 2 else umbel).send_task("shared.where") for number in range(300)]
    ran = [result.get(timeout=WAIT) for result in results]
    assert set(ran) <= {"umbel", "celery"}
    assert len(ran) == 300


def test_c7_many_jobs_are_streamed_in_their_order(umbel: Umbel) -> None:
    """A batch is on its way while the next is put together; what was told is stored when the source fails."""
    task = umbel.task(name="shared.add", shared=False)(_add)

    def items() -> Iterator[Any]:
        yield from ((number, 1) for number in range(1700))
        raise KeyError("no more")

    told: list[str] = []
    with pytest.raises(KeyError):
        told.extend(task.enqueue_many(items()))
    told.clear()
    with contextlib.suppress(KeyError):
        for task_id in task.enqueue_many(items()):
            told.append(task_id)
    umbel.engine.open_lease("here@test", ["shared"], 1)
    found = [one.task_id for one in umbel.engine.fetch({"shared": 0}, 10_000)]
    assert len(told) == 1500
    assert found[1500:] == told
    umbel.engine.close_lease()


def _add(x: int, y: int) -> int:
    return x + y


def test_c14_what_a_killed_umbel_worker_held_runs_at_a_plain_one(
    umbel: Umbel, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Given back in Kombu's own form, with what Umbel notes where Kombu does not look."""
    result = umbel.send_task("shared.add", (4, 5))
    umbel.engine.open_lease("gone@test", ["shared"], 1)
    (held,) = umbel.engine.fetch({"shared": 0}, 1)
    assert held.task_id == result.id
    umbel.engine.close_lease()
    start(
        "celery", "-A", "tests.integration.on_redis.plain_celery", "worker", "-P", "solo",
        "--without-mingle", "--without-gossip",
    )  # fmt: skip
    assert result.get(timeout=WAIT) == 9
    assert umbel.status(result.id).state is JobState.SUCCEEDED
