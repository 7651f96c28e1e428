"""C45: each of Celery's commands, as a real command, against Umbel's workers on Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.semantics.application import CONSUMED
from tests.acceptance.semantics.jobs import Jobs, outcome
from tests.acceptance.semantics.test_command_line import _ROOT, celery
from tests.acceptance.semantics.waiting import DEADLINE, until
from tests.acceptance.semantics.worlds import MODULE, World, environment

# In one world: each command takes a second or more, and what it asks is asked in every world elsewhere in the table.
pytestmark = [pytest.mark.worlds("umbel-redis"), pytest.mark.flavours("sync")]


def answers(world: World, *words: str) -> list[Any]:
    """Ask all nodes with ``celery inspect``, until all have answered; return what they said."""
    found: list[Any] = []

    def all_have() -> bool:
        found[:] = json.loads(celery(world, "inspect", *words, "--json")).values()
        return len(found) == world.plan.nodes

    until(all_have, f"every node answers to inspect {words}")
    return found


def done(world: World, *words: str, says: str) -> None:
    """Tell all nodes with ``celery control``; each says so. Repeated by a test, so only what may be repeated."""
    until(lambda: celery(world, "control", *words).count(says) == world.plan.nodes, f"every node says {says}")


INSPECT: dict[tuple[str, ...], Callable[[Any], bool]] = {
    ("registered",): lambda said: "sync.add" in said and "sync.subtract" in said,
    ("stats",): lambda said: said["pid"] > 1 and said["pool"]["max-concurrency"] > 0 and said["broker"]["transport"],
    ("active",): lambda said: said == [],
    ("reserved",): lambda said: said == [],
    ("scheduled",): lambda said: said == [],
    ("revoked",): lambda said: isinstance(said, list),
    ("active_queues",): lambda said: {queue["name"] for queue in said} == set(CONSUMED),
    ("query_task", "nobody-knows-it"): lambda said: said == {},
    ("conf",): lambda said: said["task_default_queue"] == "main",
    ("clock",): lambda said: said["clock"] > 0,
    ("report",): lambda said: "celery" in said["ok"],
}


def test_inspect(world: World) -> None:
    """C45: some at a time, for each waits a second for answers."""
    with ThreadPoolExecutor(4) as pool:
        told = dict(zip(INSPECT, pool.map(lambda words: answers(world, *words), INSPECT), strict=True))
    wrong = {words: said for words, each in told.items() for said in each if not INSPECT[words](said)}
    assert wrong == {}


def test_inspect_shows_what_runs(jobs: Jobs, key: str) -> None:
    """C45: active and query_task; a scheduled one is at the store."""
    result = jobs.wait_at_gate.delay(key)
    later = jobs.mark.apply_async((key,), countdown=3600)
    jobs.trail.wait(key, "started")
    (active,) = [job for said in answers(jobs.world, "active") for job in said if job["id"] == result.id]
    assert active["name"] == jobs.named("wait_at_gate")
    (known,) = [said[result.id] for said in answers(jobs.world, "query_task", result.id) if said]
    assert known[0] == "active"
    assert jobs.world.app.engine.locate(later.id).due is not None  # type: ignore[attr-defined]
    later.revoke()
    jobs.trail.open_gate(key)
    outcome(result)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("rate_limit", "sync.throttled", "1000/s"), "new rate limit set successfully"),
        (("rate_limit", "sync.throttled", "0/s"), "successfully"),
        (("time_limit", "sync.limited_later", "60", "90"), "time limits set successfully"),
        (("add_consumer", "parked-for-commands"), "add consumer parked-for-commands"),
        (("cancel_consumer", "parked-for-commands"), "no longer consuming from parked-for-commands"),
        (("enable_events",), "task events"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_control(world: World, words: tuple[str, ...], says: str) -> None:
    """C45"""
    done(world, *words, says=says)


def sizes(world: World) -> list[int]:
    found = world.inspect().stats() or {}
    return [said["pool"]["max-concurrency"] for said in found.values()]


def test_control_pool(world: World) -> None:
    """C45: what may not be repeated is told once, and looked at; the others find the pool as it was."""
    usual = world.plan.concurrency
    try:
        for command, size in (("pool_grow", usual + 1), ("pool_shrink", usual)):
            celery(world, "control", command, "1")
            until(lambda size=size: sizes(world) == [size] * world.plan.nodes, f"every pool has {size}")  # type: ignore[misc]
    finally:
        for size in sizes(world):
            if size != usual:
                world.control("pool_grow" if size < usual else "pool_shrink", n=abs(usual - size))


def test_control_revoke_and_terminate(jobs: Jobs, key: str) -> None:
    """C45, C22: one that waits never starts, one that runs is stopped."""
    waiting = jobs.mark.apply_async((key, "ran"), countdown=3600)
    running = jobs.wait_at_gate.delay(key)
    jobs.trail.wait(key, "started")
    celery(jobs.world, "control", "revoke", waiting.id)
    celery(jobs.world, "control", "terminate", "SIGTERM", running.id)
    until(lambda: running.state == "REVOKED", "the running one is stopped")
    until(lambda: waiting.state == "REVOKED", "the waiting one has ended")
    assert "ran" not in jobs.trail.words(key)


def test_control_shutdown_of_one_node(world: World) -> None:
    """C45, C19"""
    with world.worker(queues=("late",)) as worker:
        # Nobody answers to this one, here as with plain workers.
        celery(world, "control", "shutdown", "-d", ",".join(worker.nodes), code=69)
        until(lambda: worker.process.poll() is not None, "the worker has ended")
        assert worker.process.returncode == 0


def test_events_dump(jobs: Jobs) -> None:
    """C45: what happens is told while it happens."""
    command = [sys.executable, "-m", "celery", "-A", MODULE, "events", "--dump"]
    process = subprocess.Popen(
        command, cwd=_ROOT, env=environment(jobs.world), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    seen: set[str] = set()
    try:
        # It may listen only later: one job after the other, until it has heard of a whole one.
        for line in process.stdout:
            if "task succeeded" in line or "task-succeeded" in line:
                seen.add("succeeded")
            if "heartbeat" in line or "evcam" in line or not seen:
                jobs.add.delay(1, 1)
            if seen:
                break
    finally:
        process.terminate()
        process.wait(DEADLINE)
        process.stdout.close()
    assert seen


def test_purge_result_call_and_list(jobs: Jobs, key: str) -> None:
    """C45"""
    for _ in range(3):
        jobs.mark.apply_async((key,), queue="late")
    assert "3 messages" in celery(jobs.world, "purge", "-f", "-Q", "late")
    task_id = celery(jobs.world, "call", "sync.add", "--args", "[2, 3]").strip()
    assert outcome(jobs.world.app.AsyncResult(task_id)) == 5
    assert celery(jobs.world, "result", task_id).strip().endswith("5")
    assert "main" in celery(jobs.world, "list", "bindings")
