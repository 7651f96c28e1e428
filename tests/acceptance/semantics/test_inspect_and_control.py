"""C45: ``app.control`` and ``app.control.inspect()``."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from tests.acceptance.semantics.application import CONSUMED
from tests.acceptance.semantics.jobs import Jobs, outcome
from tests.acceptance.semantics.waiting import DEADLINE, until
from tests.acceptance.semantics.worlds import World


def _of_all_nodes(answers: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [entry for node in answers.values() for entry in node]


def test_ping(world: World) -> None:
    """C45: every node answers, one by one when addressed."""
    answers = world.inspect().ping()
    assert len(answers) == world.plan.nodes
    assert set(map(str, answers.values())) == {"{'ok': 'pong'}"}
    node = sorted(answers)[0]
    assert world.app.control.inspect([node], timeout=DEADLINE, limit=1).ping() == {node: {"ok": "pong"}}
    assert len(world.app.control.ping(timeout=DEADLINE, limit=world.plan.nodes)) == world.plan.nodes


def test_nobody_answers_for_an_unknown_node(world: World) -> None:
    """C45"""
    assert not world.app.control.inspect(["nobody@nowhere"], timeout=0.3).ping()


def test_unknown_command_is_not_fatal(world: World) -> None:
    """C45"""
    world.app.control.broadcast("no_such_command", reply=False)
    assert len(world.inspect().ping()) == world.plan.nodes


def test_registered(jobs: Jobs) -> None:
    """C45: with the fields that were asked for."""
    for names in jobs.world.inspect().registered().values():
        assert jobs.named("add") in names
        assert jobs.named("subtract") in names
    for names in jobs.world.inspect().registered("max_retries", "soft_time_limit").values():
        line = next(name for name in names if name.startswith(jobs.named("give_up ")))
        assert "max_retries=2" in line


def test_stats(world: World) -> None:
    """C45"""
    for stats in world.inspect().stats().values():
        assert stats["pid"] > 1
        assert stats["uptime"] >= 0
        assert stats["pool"]["max-concurrency"] == world.plan.concurrency
        assert stats["prefetch_count"] >= 0
        assert stats["broker"]["transport"]
        assert stats["rusage"]["maxrss"] > 0


def test_stats_count_jobs_by_task(jobs: Jobs) -> None:
    """C45"""
    name = jobs.named("add")

    def count() -> int:
        return sum(stats["total"].get(name, 0) for stats in jobs.world.inspect().stats().values())

    before = count()
    for _ in range(3):
        outcome(jobs.add.delay(1, 1))
    assert count() == before + 3


def test_active_queues(world: World) -> None:
    """C45"""

    def consumed() -> list[set[str]]:
        return [{queue["name"] for queue in queues} for queues in world.inspect().active_queues().values()]

    # A queue that another test has let go of is left when the worker comes to it.
    until(lambda: consumed() == [set(CONSUMED)] * world.plan.nodes, "the queues are those of the command line")


def test_active(jobs: Jobs, key: str) -> None:
    """C45"""
    result = jobs.wait_at_gate.delay(key, 5)
    jobs.trail.wait(key, "started")
    found = until(
        lambda: [job for job in _of_all_nodes(jobs.world.inspect().active()) if job["id"] == result.id],
        "the running job is listed as active",
    )
    assert len(found) == 1
    assert found[0]["name"] == jobs.named("wait_at_gate")
    assert found[0]["args"] == [key, 5]
    assert found[0]["kwargs"] == {}
    assert found[0]["hostname"] in jobs.world.inspect().ping()
    assert found[0]["time_start"] > 0
    assert found[0]["worker_pid"] == jobs.trail.notes(key, "started")[0]["pid"] or jobs.world.plan.pool == "threads"
    assert found[0]["delivery_info"]["routing_key"] == "main"
    jobs.trail.open_gate(key)
    outcome(result)
    until(
        lambda: result.id not in {job["id"] for job in _of_all_nodes(jobs.world.inspect().active())},
        "the finished job is no longer active",
    )


def test_reserved_are_those_beyond_the_active(jobs: Jobs, key: str) -> None:
    """C45, C8: as many are active as there are slots, and no job is in both lists."""
    slots = jobs.world.plan.concurrency * jobs.world.plan.nodes
    results = [jobs.wait_at_gate.delay(key) for _ in range(slots + 6)]
    jobs.trail.wait(key, "started", slots)
    until(lambda: len(_of_all_nodes(jobs.world.inspect().active())) == slots, "all slots are active")
    active = {job["id"] for job in _of_all_nodes(jobs.world.inspect().active())}
    reserved = {job["id"] for job in _of_all_nodes(jobs.world.inspect().reserved())}
    assert active | reserved <= {result.id for result in results}
    assert not active & reserved
    jobs.trail.open_gate(key)
    for result in results:
        outcome(result)


def test_scheduled(jobs: Jobs, key: str) -> None:
    """C45, C16: plain workers hold jobs for later in memory; Umbel's leave them at the store."""
    result = jobs.mark.apply_async((key,), countdown=3600)
    scheduled = jobs.world.inspect().scheduled()
    assert len(scheduled) == jobs.world.plan.nodes
    if jobs.world.plan.kind == "celery":
        until(
            lambda: result.id in {e["request"]["id"] for e in _of_all_nodes(jobs.world.inspect().scheduled())},
            "the job for later is listed",
        )
    else:
        assert _of_all_nodes(scheduled) == []
        assert jobs.world.app.engine.locate(result.id).due is not None  # type: ignore[attr-defined]
    result.revoke()


def test_query_task(jobs: Jobs, key: str) -> None:
    """C45"""
    result = jobs.wait_at_gate.delay(key)
    jobs.trail.wait(key, "started")
    answers = jobs.world.inspect().query_task([result.id])
    found = [node[result.id] for node in answers.values() if result.id in node]
    assert [state for state, _ in found] == ["active"]
    assert found[0][1]["name"] == jobs.named("wait_at_gate")
    jobs.trail.open_gate(key)
    outcome(result)


def test_revoked(jobs: Jobs, key: str) -> None:
    """C45"""
    jobs.world.app.control.revoke(key)
    until(
        lambda: all(key in ids for ids in jobs.world.inspect().revoked().values()), "every node knows of the revocation"
    )


def test_conf(world: World) -> None:
    """C45: no secrets, but what was set."""
    for conf in world.inspect().conf().values():
        assert conf["task_default_queue"] == "main"
        assert conf["result_extended"] is True


def test_report_and_clock(world: World) -> None:
    """C45"""
    for answer in world.inspect().report().values():
        assert "celery" in answer["ok"]
    for answer in world.inspect().clock().values():
        assert answer["clock"] > 0


def test_rate_limit(jobs: Jobs, key: str) -> None:
    """C45: five jobs at four a second and node take their time."""
    name, nodes = jobs.named("throttled"), jobs.world.plan.nodes
    assert (
        jobs.world.control("rate_limit", task_name=name, rate_limit="4/s")
        == [{"ok": "new rate limit set successfully"}] * nodes
    )
    try:
        assert all(
            f"{name} [rate_limit=4/s]" in names for names in jobs.world.inspect().registered("rate_limit").values()
        )
        for _ in range(5):
            jobs.throttled.delay(key)
        noted = jobs.trail.wait(key, "ran", 5)
        assert noted[-1]["at"] - noted[0]["at"] >= 0.2
    finally:
        answers = jobs.world.control("rate_limit", task_name=name, rate_limit=0)
    assert answers == [{"ok": "rate limit disabled successfully"}] * nodes


def test_rate_limit_that_makes_no_sense(world: World) -> None:
    """C45"""
    for answer in world.control("rate_limit", task_name="sync.throttled", rate_limit="often"):
        assert "Invalid rate limit" in answer["error"]
    assert (
        world.control("rate_limit", task_name="nobody.knows", rate_limit="1/s")
        == [{"error": "unknown task"}] * world.plan.nodes
    )


@pytest.mark.worlds("celery-prefork", "umbel", "umbel-prefork", "umbel-rabbit")
def test_pool_grows_and_shrinks(world: World) -> None:
    """C45"""
    usual = world.plan.concurrency

    def sizes() -> set[int]:
        pools = [stats["pool"] for stats in world.inspect().stats().values()]
        return {len(pool["processes"]) if world.plan.pool == "prefork" else pool["max-concurrency"] for pool in pools}

    assert world.control("pool_grow", n=2) == [{"ok": "pool will grow"}] * world.plan.nodes
    until(lambda: sizes() == {usual + 2}, "the pool has grown")
    assert world.control("pool_shrink", n=2) == [{"ok": "pool will shrink"}] * world.plan.nodes
    until(lambda: sizes() == {usual}, "the pool has shrunk")


@pytest.mark.worlds("umbel", "umbel-rabbit")
def test_grown_pool_really_runs_more(jobs: Jobs, key: str) -> None:
    """C45"""
    slots = (jobs.world.plan.concurrency + 2) * jobs.world.plan.nodes
    jobs.world.control("pool_grow", n=2)
    try:
        results = [jobs.wait_at_gate.delay(key) for _ in range(slots)]
        jobs.trail.wait(key, "started", slots)
    finally:
        jobs.trail.open_gate(key)
        jobs.world.control("pool_shrink", n=2)
    for result in results:
        outcome(result)


def test_consumer_is_added_and_cancelled(jobs: Jobs, key: str) -> None:
    """C45"""
    waiting = jobs.mark.apply_async((key,), queue="parked")
    nodes = jobs.world.plan.nodes
    answers = jobs.world.control("add_consumer", queue="parked", exchange="parked", routing_key="parked")
    assert answers == [{"ok": "add consumer parked"}] * nodes
    try:
        jobs.trail.wait(waiting.id, "task_postrun")
        until(lambda: _consumed(jobs.world) == {*CONSUMED, "parked"}, "parked is consumed")
    finally:
        answers = jobs.world.control("cancel_consumer", queue="parked")
    assert answers == [{"ok": "no longer consuming from parked"}] * nodes
    until(lambda: _consumed(jobs.world) == set(CONSUMED), "parked is no longer consumed")
    left = jobs.mark.apply_async((key, "left"), queue="parked")
    assert outcome(jobs.add.delay(1, 1)) == 2
    assert jobs.trail.notes(key, "left") == []
    left.revoke()


def test_shutdown_ends_one_worker_well(world: World) -> None:
    """C45, C19: the others go on."""
    with world.worker(queues=("late",)) as worker:
        # A Celery worker may say that it is ready before it listens, and what is broadcast then is lost.
        until(lambda: world.app.control.ping(destination=worker.nodes, limit=1), "the worker listens")
        world.app.control.shutdown(destination=worker.nodes)
        until(lambda: worker.process.poll() is not None, "the worker has ended")
        assert worker.process.returncode == 0
    assert len(world.inspect().ping()) == world.plan.nodes


def test_purge(jobs: Jobs, key: str) -> None:
    """C45: what waits in declared queues is dropped, and counted."""
    for _ in range(3):
        jobs.mark.apply_async((key,), queue="late")
    with contextlib.closing(jobs.world.app.connection_for_write()) as connection:
        assert jobs.world.app.control.purge(connection) >= 3
    with jobs.world.worker(queues=("late",)):
        probe = jobs.mark.apply_async((key, "probe"), queue="late")
        jobs.trail.wait(probe.id, "task_postrun")
    assert jobs.trail.words(key) == ["probe"]


def _consumed(world: World) -> set[str]:
    return {queue["name"] for queues in world.inspect().active_queues().values() for queue in queues}
