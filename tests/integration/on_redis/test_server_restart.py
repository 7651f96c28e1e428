"""C14: Redis is killed and restarted under a running worker; nothing is lost, and everything goes on by itself."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port, need_program
from tests.integration.worker.plant import Plant, planted, until
from umbel import JobState


class Server:
    """A Redis that keeps a log of everything, on one port across restarts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.port = free_port()
        self._command = [need_program("redis-server"), "--bind", "127.0.0.1", "--port", str(self.port)]
        self._command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", str(folder)]
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._answers, "redis-server answers")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "redis")
    yield server
    server.kill()


@pytest.fixture
def plant(tmp_path: Path, server: Server) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, server.url) as made:
        yield made
        if not server._answers():
            server.start()


def test_c14_a_server_that_is_killed_under_load_loses_nothing(plant: Plant, server: Server) -> None:
    worker = plant.start("--loglevel", "WARNING", processes=2)
    words = [f"w{number}" for number in range(3000)]
    jobs = plant.send_many("say", words)
    plant.until_told("say", times=200)
    server.kill()
    until(lambda: "cannot be reached" in worker.text(), "a worker that finds nobody")
    server.start()
    until(plant.empty, "an empty queue", 60)
    assert {plant.state(job) for job in jobs} == {JobState.SUCCEEDED}
    assert {line.words[1] for line in plant.lines("say")} == set(words)


def test_c45_remote_control_is_heard_again_after_a_restart(plant: Plant, server: Server) -> None:
    plant.start("--loglevel", "WARNING")
    server.kill()
    server.start()
    assert plant.ended(plant.send("say", "after")).state is JobState.SUCCEEDED
    until(lambda: plant.app.control.ping(timeout=2, limit=1), "the worker answers")
