"""C45: 'umbel release' hands everything back in Celery's own form, and may be interrupted anywhere."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.integration.on_redis.conftest import umbel_command
from umbel.cli.quiet import reap_all
from umbel.engine import leases
from umbel.engine.redis import RedisEngine
from umbel.engine.redis_release import Released, release
from umbel.engine.redis_wire import BAND
from umbel.engine.store import ChordPart, Outgoing, Record, Settled
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import payload

QUEUE = "shared"
LATER = 4_000_000_000.0


class Cut(Exception):
    """The process was killed here."""


@pytest.fixture
def engine(redis_url: str) -> Iterator[RedisEngine]:
    engine = RedisEngine(redis_url)
    yield engine
    engine.close()


def put(engine: RedisEngine, *names: str, headers: dict[str, Any] | None = None, **how: Any) -> None:
    engine.enqueue([Outgoing(QUEUE, payload(one, **(headers or {})), one, **how) for one in names])


def hand_back(engine: RedisEngine) -> Released:
    steps = list(release(engine, lambda task_id, part: f"{task_id} {part!r}"))
    names = ("suspects", "delayed", "chords", "cancelled")
    return Released(**{name: sum(getattr(step, name) for step in steps) for name in names})


def crash(engine: RedisEngine, url: str, *, started: int, overdue: bool = False) -> None:
    """Let a process fetch, start the first few, and die; or be killed for its hard limit."""
    with Peer(url, QUEUE) as peer:
        held = peer.call("fetch", {QUEUE: 0}, 10)
        for one in held[:started]:
            peer.call("started", one.seq)
        peer.kill()
        engine.reap(peer.token, crashed=not overdue, overdue=[held[0].seq] if overdue else [])


def waiting(engine: RedisEngine, band: str = "") -> list[dict[str, Any]]:
    """The envelopes of a list, the first to go first."""
    with engine.store.asking() as client:
        return [json.loads(one) for one in reversed(client.lrange(f"{QUEUE}{band}", 0, -1))]


def ids(messages: list[dict[str, Any]]) -> list[str]:
    return [message["headers"]["id"] for message in messages]


def test_c45_suspects_and_condemned_ones_go_to_the_heads_of_their_lists(engine: RedisEngine, redis_url: str) -> None:
    put(engine, "stuck")
    crash(engine, redis_url, started=1, overdue=True)
    crash(engine, redis_url, started=0)
    put(engine, "ran-1", "ran-2", priority=0)
    put(engine, "ran-high", priority=9)
    engine.open_lease("front@test", [QUEUE], 1)
    condemned = [one.seq for one in engine.fetch({QUEUE: 0}, 1) if one.verdict]
    assert len(condemned) == 1
    crash(engine, redis_url, started=3)
    engine.close_lease()
    put(engine, "new")
    assert engine.suspects() == 3
    assert hand_back(engine) == Released(suspects=4)
    assert ids(waiting(engine)) == ["stuck", "ran-1", "ran-2", "new"]
    assert ids(waiting(engine, f"{BAND}9")) == ["ran-high"]
    assert engine.suspects() == 0


def test_c45_delayed_ones_wait_in_their_lists_with_their_eta(engine: RedisEngine) -> None:
    eta = "2096-10-02T07:06:40+00:00"
    put(engine, "with", due=LATER, headers={"eta": eta})
    put(engine, "without", due=LATER + 1.5)
    put(engine, "other time", due=LATER + 2, headers={"eta": eta})
    put(engine, "ready")
    assert hand_back(engine) == Released(delayed=3)
    messages = {one["headers"]["id"]: one for one in waiting(engine)}
    assert list(messages) == ["ready", "with", "without", "other time"]
    assert messages["with"]["headers"]["eta"] == eta
    for name, due in (("without", LATER + 1.5), ("other time", LATER + 2)):
        assert datetime.fromisoformat(messages[name]["headers"]["eta"]).timestamp() == due
    assert [queue.delayed for queue in engine.queues()] == [0]
    assert "umbel" not in messages["with"]


def test_c22_cancelled_ones_are_dropped_wherever_they_wait(engine: RedisEngine, redis_url: str) -> None:
    put(engine, "suspect")
    crash(engine, redis_url, started=1)
    put(engine, "waits", "stays", "later")
    put(engine, "delayed", due=LATER)
    for name in ("suspect", "waits", "delayed"):
        engine.cancel(name, Record(name, "REVOKED", True, "{}"))
    assert hand_back(engine).cancelled == 3
    assert ids(waiting(engine)) == ["stays", "later"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_c14_interrupted_at_any_step_and_done_again_nothing_is_lost_or_doubled(
    redis_url: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("umbel.engine.redis_release._BATCH", 2)
    for cut in range(100):
        engine = RedisEngine(redis_url, prefix=f"{cut}-{after}:")
        put(engine, "a", "b", "c", "gone")
        put(engine, *(f"d{number}" for number in range(5)), due=LATER)
        engine.cancel("gone", None)
        engine.open_lease("here@test", [QUEUE], 1)
        for one in reversed(engine.fetch({QUEUE: 0}, 3)):
            engine.settle([Settled(one.seq, "crash")])
        engine.close_lease()
        calls = iter(range(1000))
        ask = engine.store.run

        def cutting(name: str, *arguments: Any, ask: Any = ask, calls: Any = calls, cut: int = cut) -> Any:
            now = next(calls) == cut
            if now and not after:
                raise Cut
            answer = ask(name, *arguments)
            if now:
                raise Cut
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(engine.store, "run", cutting)
            with contextlib.suppress(Cut):
                hand_back(engine)
                return
        hand_back(engine)
        engine.open_lease("here@test", [QUEUE], 1)
        found = [str(one.task_id) for one in engine.take(QUEUE, 100)]
        assert Counter(found) == Counter(["a", "b", "c", *(f"d{number}" for number in range(5))]), f"cut at {cut}"
        assert found[:3] == ["a", "b", "c"]
        engine.close()
    pytest.fail("it never came to an end")


def test_c45_a_chord_that_is_half_done_is_completed_by_a_plain_worker(
    plain: Celery, redis_url: str, celery_worker: Any
) -> None:
    """One member has ended at Umbel's; the other runs at the plain worker, which sends the callback."""
    engine = RedisEngine(redis_url)
    group = "00000000-0000-0000-0000-000000000001"
    engine.groups.set_size(group, 2, LATER)
    engine.settle([Settled(parts=[ChordPart(group, "first", 0, json.dumps(["SUCCESS", 40]), None)])])
    assert "1 unfinished chords" in umbel_command(redis_url, "release")
    assert list(engine.moving.chords()) == []
    engine.close()
    callback = plain.signature("shared.total", app=plain)
    callback.freeze("the-callback")
    plain.send_task("shared.add", (1, 1), task_id="second", group_id=group, group_index=1, chord=callback)
    assert plain.AsyncResult("the-callback").get(timeout=60) == 42


def test_c14_what_a_dead_host_held_is_given_back_before_anything_goes(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No kernel tells here that it is dead: its lease is watched until it has stood still long enough."""
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)
    with monkeypatch.context() as elsewhere:
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        elsewhere.setenv("TMPDIR", str(folder))
        far = Peer(redis_url, QUEUE)
    with far, contextlib.closing(RedisEngine(redis_url)) as engine:
        put(engine, "a")
        assert len(far.call("fetch", {QUEUE: 0}, 1)) == 1
        far.kill()
        assert [worker.in_flight for worker in engine.workers()] == [1], "it may live, for all that is known"
        assert reap_all(engine) == []
        assert ids(waiting(engine)) == ["a"]


def test_c45_lines_go_to_the_ends_of_kombus_lists_in_turn(engine: RedisEngine) -> None:
    put(engine, "plain")
    put(engine, "a1", "a2", "a3", headers={"umbel_share": "a"})
    put(engine, "b1", headers={"umbel_share": "b"})
    put(engine, "gone", headers={"umbel_share": "b"})
    put(engine, "high", headers={"umbel_share": "a"}, priority=9)
    put(engine, "later", headers={"umbel_share": "a"}, due=LATER)
    engine.cancel("gone", None)
    assert hand_back(engine) == Released(delayed=1, cancelled=1)
    assert ids(waiting(engine)) in (
        ["plain", "a1", "b1", "a2", "a3", "later"],
        ["plain", "b1", "a1", "a2", "a3", "later"],
    )
    assert ids(waiting(engine, f"{BAND}9")) == ["high"]
    with engine.store.asking() as client:
        left = [key for key in client.keys("*") if b"ring" in key or b"turns" in key or key.count(BAND.encode()) > 1]
    assert left == []
