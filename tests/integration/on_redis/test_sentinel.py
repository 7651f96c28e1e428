"""C14: Sentinel makes a replica the master; workers and clients follow by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from tests.integration.on_redis.server import Sentinel, Server
from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState

pytestmark = pytest.mark.slow


@dataclass
class Group:
    """A master, its replica, and a Sentinel that watches them."""

    one: Server
    two: Server
    sentinel: Sentinel

    @property
    def url(self) -> str:
        # The first one does not answer.
        return f"sentinel://127.0.0.1:1,127.0.0.1:{self.sentinel.port}/1?master_name=shop"

    def knows(self) -> bool:
        """Whether the replica has everything, and the Sentinel knows of it."""
        synced = self.two.do("INFO", "replication")["master_link_status"] == "up"
        return synced and len(self.sentinel.do("SENTINEL", "REPLICAS", "shop")) == 1


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    one = Server(tmp_path / "one", repl_diskless_sync_delay="0")
    two = Server(tmp_path / "two", replicaof=f"127.0.0.1 {one.port}")
    group = Group(one, two, Sentinel(tmp_path / "sentinel", one))
    until(group.knows, "a replica in step")
    yield group
    for server in (one, two, group.sentinel):
        server.kill()


@pytest.fixture
def plant(tmp_path: Path, group: Group) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, group.url) as made:
        yield made


def send(plant: Plant, word: str) -> str:
    """Send as a web process would, again until it is accepted."""
    sent: list[str] = []

    def accepted() -> bool:
        try:
            sent.append(plant.send("say", word))
        except OperationalError:
            return False
        return True

    until(accepted, "a broker that accepts")
    return sent[-1]


def test_c14_workers_and_clients_follow_the_master(plant: Plant, group: Group) -> None:
    worker = plant.start("--loglevel", "WARNING", processes=2)
    for number in range(100):
        plant.send("say", f"before-{number}")
    plant.until_told("say", times=100)
    group.one.kill()
    until(lambda: group.sentinel.master() == group.two.port, "another master")
    job = send(plant, "after")
    assert plant.ended(job).state is JobState.SUCCEEDED
    until(lambda: plant.app.control.ping(timeout=2, limit=1), "the worker answers")
    # The old master comes back as a replica, and is nobody's any more.
    group.one.start()
    until(lambda: group.one.do("ROLE")[0] == "slave", "a demoted master")
    assert plant.ended(plant.send("say", "last")).state is JobState.SUCCEEDED
    assert worker.text().count("cannot be reached") <= 6, worker.text()


def test_c14_a_master_that_is_demoted_while_it_lives_is_left(plant: Plant, group: Group) -> None:
    """Nothing is cut: the old master answers READONLY."""
    plant.start("--loglevel", "WARNING")
    assert plant.ended(plant.send("say", "before")).state is JobState.SUCCEEDED
    group.sentinel.do("SENTINEL", "FAILOVER", "shop")
    until(lambda: group.one.do("ROLE")[0] == "slave", "a demoted master")
    jobs = [send(plant, f"after-{number}") for number in range(20)]
    for job in jobs:
        assert plant.ended(job).state is JobState.SUCCEEDED
