"""C14, C15: a worker on another host, of which nothing is known but its lease at the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from umbel.engine import redis_leases
from umbel.engine.redis import RedisEngine
from umbel.engine.registry import open_engine
from umbel.engine.store import Outgoing, Settled
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import payload, until

QUEUE = "default"


@pytest.fixture
def far(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A process whose files are not ours, as on another host."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with Peer(redis_url, QUEUE) as peer:
        yield peer


@pytest.fixture
def engine(redis_url: str, far: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisEngine]:
    """This host's engine, for which a lease is stale after half a second."""
    monkeypatch.setattr(redis_leases, "LEASE_SECONDS", 0.5)
    monkeypatch.delenv("TMPDIR")
    engine = RedisEngine(redis_url)
    engine.open_lease("here@test", [QUEUE], 1)
    yield engine
    engine.close()


def test_c14_what_a_dead_host_held_is_given_back(engine: RedisEngine, far: Peer) -> None:
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    assert len(far.call("fetch", {QUEUE: 0}, 1)) == 1
    assert engine.reap() == 0, "a lease that was seen for the first time may be a living process's"
    far.kill()
    until(engine.reap, "the lease is stale")
    (again,) = engine.fetch({QUEUE: 0}, 1)
    assert (again.task_id, again.deliveries) == ("a", 2)


def test_c15_a_host_that_renews_keeps_its_jobs(engine: RedisEngine, far: Peer) -> None:
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    (held,) = far.call("fetch", {QUEUE: 0}, 1)
    for _ in range(30):
        far.call("renew", [far.token])
        assert engine.reap() == 0
        engine.wait(0.05)
    assert far.call("settle", [Settled(held.seq, "ack")]).refused == []


def test_c15_a_host_that_comes_back_settles_nothing(engine: RedisEngine, far: Peer) -> None:
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    (held,) = far.call("fetch", {QUEUE: 0}, 1)
    far.pause()
    until(engine.reap, "the lease is stale")
    far.proceed()
    assert len(far.call("settle", [Settled(held.seq, "ack")]).refused) == 1
    assert engine.fetch({QUEUE: 0}, 1)[0].task_id == "a"


def test_two_users_of_a_host_do_not_share_a_folder(redis_url: str, tmp_path: Path) -> None:
    folder = redis_leases.run_directory(redis_url)
    assert folder.stat().st_mode & 0o077 == 0
    assert folder.parent.stat().st_uid == os.getuid()


def test_one_engine_a_store_and_process(redis_url: str) -> None:
    assert open_engine(redis_url) is open_engine(redis_url)
