"""C14, C15: a worker on another host, of which nothing is known but its lease at the store."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import miss, need_program
from umbel.engine import leases
from umbel.engine.redis import RedisEngine
from umbel.engine.registry import open_engine
from umbel.engine.store import Outgoing, Settled
from umbel.errors import StoreUnreachable
from umbel.testing.contract._peer import Peer
from umbel.testing.contract._suite import payload, until

QUEUE = "default"


@pytest.fixture
def far(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    """A process whose files are not ours, as on another host."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with monkeypatch.context() as there:
        there.setenv("TMPDIR", str(folder))
        peer = Peer(redis_url, QUEUE)
    with peer:
        yield peer


@pytest.fixture
def engine(redis_url: str, far: Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisEngine]:
    """This host's engine, for which a lease is stale after half a second."""
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.5)
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


def test_c14_a_host_that_comes_back_takes_jobs_under_a_lease_that_others_know(engine: RedisEngine, far: Peer) -> None:
    """What it holds then is given back too, when it is lost a second time."""
    engine.enqueue([Outgoing(QUEUE, payload(name), name) for name in ("a", "b")])
    assert [one.task_id for one in far.call("fetch", {QUEUE: 0}, 1)] == ["a"]
    far.pause()
    until(engine.reap, "the lease is stale")
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 1)] == ["a"]
    far.proceed()
    held: list[str] = []
    until(lambda: held.extend(one.task_id for one in far.call("fetch", {QUEUE: 0}, 1)) or held, "it fetches again")
    assert held == ["b"]
    far.kill()
    until(engine.reap, "the new lease is stale")
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 1)] == ["b"]


def test_c15_a_lease_stands_still_only_while_it_is_watched(
    engine: RedisEngine, far: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can renew at a server that is down: its return is no proof of anybody's death."""
    clock = Clock(monkeypatch)
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    far.call("fetch", {QUEUE: 0}, 1)
    for _ in range(3):
        assert engine.reap() == 0
        clock.now += 0.2
    with monkeypatch.context() as patch:
        patch.setattr(engine.leases, "all", cut)
        with pytest.raises(StoreUnreachable):
            engine.reap()
    for _ in range(3):
        assert engine.reap() == 0
        clock.now += 0.2
    assert engine.reap() == 1


def test_c15_who_was_stopped_has_watched_nothing_meanwhile(
    engine: RedisEngine, far: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    far.call("fetch", {QUEUE: 0}, 1)
    for _ in range(3):
        assert engine.reap() == 0
        clock.now += 3600
    assert engine.reap() == 1


def test_c15_a_lease_that_is_renewed_at_the_last_moment_lives(
    engine: RedisEngine, far: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    far.call("fetch", {QUEUE: 0}, 1)
    for _ in range(3):
        engine.reap()
        clock.now += 0.2
    watched = engine.leases.abandoned
    monkeypatch.setattr(engine.leases, "abandoned", lambda info: (watched(info), far.call("renew", [far.token]))[0])
    assert engine.reap() == 0


def test_c15_a_tidied_folder_kills_nobody(redis_url: str, engine: RedisEngine) -> None:
    """Programs that clean /tmp remove the files of long-lived processes."""
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    with Peer(redis_url, QUEUE) as near:
        (held,) = near.call("fetch", {QUEUE: 0}, 1)
        (engine.run / f"{near.token}.lease").unlink()
        assert engine.reap() == 0
        assert near.call("settle", [Settled(held.seq, "ack")]).refused == []


def test_c14_containers_that_share_a_folder_are_one_host(redis_url: str, engine: RedisEngine) -> None:
    """A kernel's locks do not care for its namespaces of process ids: what had started is known."""
    command = (need_program("unshare"), "--pid", "--fork", "--kill-child")
    if os.geteuid() != 0 or subprocess.run([*command, "true"], check=False).returncode:
        miss("namespaces of process ids (they need root)")
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    with Peer(redis_url, QUEUE, prefix=command) as near:
        (held,) = near.call("fetch", {QUEUE: 0}, 1)
        near.call("started", held.seq)
        assert engine.reap() == 0
    until(engine.reap, "its lock is free")
    assert engine.suspects() == 1


def test_a_copied_folder_is_another_host(redis_url: str, engine: RedisEngine, tmp_path: Path) -> None:
    """Containers of one image have the same files, and do not see each other's locks."""
    copy = tmp_path / "copy"
    shutil.copytree(engine.run, copy)
    twin = RedisEngine(redis_url, run=copy)
    assert twin.leases.host != engine.leases.host
    assert RedisEngine(redis_url, run=engine.run).leases.host == engine.leases.host
    assert twin.reap() == 0


def test_a_folder_that_machines_share_is_not_one_host(
    engine: RedisEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Locks of a network's file system may be no locks."""
    other = tmp_path / "boot_id"
    other.write_text("another-kernel\n")
    monkeypatch.setattr(leases, "_BOOT", other)
    assert RedisEngine(engine.url, run=engine.run).leases.host != engine.leases.host


def test_c17_a_job_that_takes_its_host_along_fails_in_the_end(
    redis_url: str, engine: RedisEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory that runs out in a container ends all of its processes, and with them what they knew of the job."""
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    suspect = False
    for host in range(8):
        folder = tmp_path / f"host-{host}"
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        with Peer(redis_url, QUEUE) as peer:
            until(partial(peer.call, "fetch", {QUEUE: 0}, 1, suspects=suspect), "the job comes")
        until(engine.reap, "the lease is stale")
        suspect = engine.suspects() == 1
        found = engine.fetch({QUEUE: 0}, 1) if not suspect else []
        if found and found[0].verdict:
            assert "worker lost" in found[0].verdict
            assert found[0].deliveries == 7
            return
        engine.settle([Settled(one.seq, "requeue") for one in found])
    pytest.fail("it goes on for ever")


def test_c14_a_fetch_that_was_under_way_for_too_long_takes_nothing(engine: RedisEngine) -> None:
    """It would hold what nobody knows of: its answer goes to a connection that was given up."""
    engine.enqueue([Outgoing(QUEUE, payload("a"), "a")])
    late = engine.store.run, ("fetch", engine._lease.token, engine._intake.epoch, 1, 0, "", "", QUEUE, 1)
    engine._intake.doubtful = True
    assert engine.fetch({"other": 0}, 1) == []
    assert late[0](*late[1]) is None
    assert [one.task_id for one in engine.fetch({QUEUE: 0}, 1)] == ["a"]


class Clock:
    """The clock by which leases are watched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(leases.time, "monotonic", lambda: self.now)


def cut(*_: object) -> Any:
    raise StoreUnreachable("redis://test", "cut")


def test_two_users_of_a_host_do_not_share_a_folder(redis_url: str, tmp_path: Path) -> None:
    folder = leases.run_directory(redis_url)
    assert folder.stat().st_mode & 0o077 == 0
    assert folder.parent.stat().st_uid == os.getuid()


def test_one_engine_a_store_and_process(redis_url: str) -> None:
    assert open_engine(redis_url) is open_engine(redis_url)
