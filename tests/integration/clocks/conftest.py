"""A Redis whose own clock can be moved."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.integration.clocks.wall_clock import WallClock
from tests.integration.worker.plant import Plant, planted, until
from tests.unix_socket import listens


@dataclass(frozen=True, slots=True)
class Server:
    """A Redis behind a socket file."""

    url: str
    clock: WallClock


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    clock = WallClock(tmp_path / "server-clock")
    path = tmp_path / "redis.sock"
    command = [
        need_program("redis-server"),
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--dir",
        str(tmp_path),
    ]
    environment = {**os.environ, **clock.environment}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: listens(path), "redis-server listens")
            yield Server(f"redis+socket://{path}", clock)
        finally:
            process.kill()


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    """The clock of the workers' host."""
    return WallClock(tmp_path / "host-clock")


@pytest.fixture
def plant(server: Server, tmp_path: Path) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, server.url) as made:
        yield made


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder) as made:
        yield made
