"""C14, C15: three hosts and one Redis; one host is cut off while it works, and comes back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
import redis

from tests.integration.hosts.network import SERVER, Host, Network
from tests.integration.worker.plant import Plant, Worker, until
from umbel import JobState

JOBS = [f"job-{number}" for number in range(6)]


class Ends:
    """What was stored as the end of each job, heard at the server."""

    def __init__(self, socket: Path) -> None:
        self._heard = redis.Redis(unix_socket_path=str(socket)).pubsub()
        self._heard.psubscribe("celery-task-meta-*")
        self.count: Counter[str] = Counter()

    def hear(self) -> Counter[str]:
        while (message := self._heard.get_message(timeout=1.0)) is not None:
            if message["type"] == "pmessage" and json.loads(message["data"])["status"] in ("SUCCESS", "FAILURE"):
                self.count[message["channel"].decode().removeprefix("celery-task-meta-")] += 1
        return self.count

    def close(self) -> None:
        self._heard.close()
        self._heard.connection_pool.disconnect()


def start(plant: Plant, host: Host) -> Worker:
    """Start a worker on a host, whose temporary folder is its own."""
    folder = plant.folder / f"tmp-{host.name}"
    folder.mkdir()
    return plant.start(
        "--hostname", f"umbel@{host.name}", concurrency=4, prefix=host.run, UMBEL_BROKER_URL=f"redis://{SERVER}/0",
        TMPDIR=str(folder), PLANT_HOST=host.name, LC_ALL="C.UTF-8",
    )  # fmt: skip


def places(plant: Plant) -> dict[str, list[str]]:
    """Return on which hosts each job has begun, in their order."""
    found: dict[str, list[str]] = {}
    for line in plant.lines("linger"):
        found.setdefault(line.words[1], []).append(line.words[2])
    return found


@pytest.mark.slow
@pytest.mark.serial
def test_c14_c15_a_cut_hosts_jobs_restart_elsewhere_and_it_settles_nothing_of_them(
    hosts: Network, plant: Plant, socket: Path
) -> None:
    workers = {host.name: start(plant, host) for host in hosts.hosts}
    ends = Ends(socket)
    ids = {name: plant.send("linger", name) for name in JOBS}
    plant.until_told("linger", times=len(JOBS))
    home = {name: at[0] for name, at in places(plant).items()}
    lost = max(hosts.hosts, key=lambda host: list(home.values()).count(host.name))
    stranded = [name for name in JOBS if home[name] == lost.name]
    others = [host.name for host in hosts.hosts if host is not lost]

    hosts.cut(lost)
    until(lambda: all(len(places(plant)[name]) == 2 for name in stranded), "the jobs restart elsewhere", 30)
    assert {places(plant)[name][1] for name in stranded} <= set(others)
    # One of them ends there before the host is back, the others only later.
    early, late = stranded[0], stranded[1:]
    plant.open(*(f"{early}@{name}" for name in others))
    assert plant.ended(ids[early]).state is JobState.SUCCEEDED

    hosts.mend(lost)
    until(lambda: "out of touch" in workers[lost.name].text(), "the host learns that it was out of touch")
    plant.open(*(f"{name}@{lost.name}" for name in stranded))
    for name in stranded:
        plant.until_told("left", name, lost.name)
    # It works on: what it takes now it settles, after all that it had to settle before.
    plant.open(*(f"new@{host.name}" for host in hosts.hosts))
    new: list[str] = []
    until(lambda: new.append(plant.send("linger", "new")) or lost.name in places(plant).get("new", ()), "new work")
    assert {plant.ended(task_id).state for task_id in new} == {JobState.SUCCEEDED}
    assert {plant.state(ids[name]) for name in late} <= {JobState.RUNNING}
    assert {child.pid for child in workers[lost.name].children("worker")} <= {one.pid for one in plant.engine.workers()}

    plant.open(*(f"{name}@{host}" for name in JOBS for host in workers))
    for name in JOBS:
        assert plant.ended(ids[name]).state is JobState.SUCCEEDED
        assert plant.app.AsyncResult(ids[name]).get(timeout=60) in places(plant)[name][-1:]
    assert all(len(places(plant)[name]) == 1 for name in JOBS if name not in stranded)
    until(plant.empty, "an empty store")
    assert ends.hear() == Counter([*ids.values(), *new])
    ends.close()
    for worker in workers.values():
        assert worker.stop() == 0
