"""C14: a server that is paused, sleeps, drops connections or forgets its scripts while jobs flow: all run once."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from kombu.exceptions import OperationalError

from tests.integration.on_redis.server import Server
from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState

pytestmark = pytest.mark.slow


class Deaf:
    """Somebody on the server's port who hangs up on every caller, and counts them."""

    def __init__(self, port: int) -> None:
        self.calls = 0
        self._socket = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._hang_up)

    def _hang_up(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._socket.accept()[0].close()
                self.calls += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis", enable_debug_command="yes") as server:
        yield server


@pytest.fixture
def plant(tmp_path: Path, server: Server) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, server.url) as made:
        yield made


def disturb(server: Server) -> None:
    """Everything that an administrator, or a bad hour, does to clients."""
    with server.client() as client:
        client.script_flush()
        for found in client.client_list():
            if found["id"] != str(client.client_id()):
                client.client_kill_filter(_id=found["id"])
        client.execute_command("CLIENT", "PAUSE", 300, "ALL")
        client.execute_command("DEBUG", "SLEEP", 0.3)
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        client.script_flush()


def test_c14_jobs_flow_through_whatever_is_done_to_clients(plant: Plant, server: Server) -> None:
    worker = plant.start("--loglevel", "WARNING", processes=2)
    ended, times = threading.Event(), []

    def go_on() -> None:
        while not ended.is_set():
            disturb(server)
            times.append(1)
            ended.wait(0.2)

    disturber = threading.Thread(target=go_on)
    disturber.start()
    sent: dict[str, str] = {}
    try:
        while len(sent) < 100 or len(times) < 5:
            word = f"w{len(sent)}"

            def accepted(word: str = word) -> bool:
                try:
                    plant.app.send_task(plant.task("say"), (word,), task_id=f"id-{word}", headers={"umbel_once": True})
                except OperationalError:
                    return False
                return True

            until(accepted, "a dispatch that is accepted")
            sent[word] = f"id-{word}"
    finally:
        ended.set()
        disturber.join()
    until(plant.empty, "an empty queue; " + worker.text()[-3000:])
    assert {plant.state(job) for job in sent.values()} == {JobState.SUCCEEDED}
    assert {line.words[1] for line in plant.lines("say")} == set(sent)
    until(lambda: plant.app.control.ping(timeout=2, limit=1), "the worker answers")


def test_an_outage_is_said_once(plant: Plant, server: Server) -> None:
    """By the thread that fetches, if it hears of it before it is stopped; by the connection; by the supervisor."""
    worker = plant.start("--loglevel", "WARNING")
    server.kill()
    # Who hears of it first says it: what is connecting still may be the thread that fetches already.
    until(lambda: any(line in worker.text() for line in ("Cannot connect", "Cannot fetch")), "a line when it begins")
    with Deaf(server.port) as deaf:
        # As many tries as would have filled a page.
        until(lambda: deaf.calls >= 20, "a worker that goes on trying")
    server.start()
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED

    def said(line: str) -> int:
        return worker.text().count(line)

    # Each of them looks when its time comes.
    until(lambda: said("cannot look after") == said("looks after"), "a line of the supervisor when it is over")
    assert said("Cannot fetch") == said("Jobs are fetched again"), worker.text()
    counts = [said(line) for line in ("Cannot connect", "Cannot fetch", "cannot look after")]
    assert counts[0] + counts[1] >= 1, worker.text()
    assert max(counts) == 1, worker.text()
