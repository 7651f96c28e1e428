"""Three hosts with one Redis, which the tests themselves reach by its socket file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.integration.hosts.network import SERVER, Network, network
from tests.integration.worker.plant import Plant, planted, until
from tests.unix_socket import listens

NAMES = ("alpha", "beta", "gamma")


@pytest.fixture
def hosts() -> Iterator[Network]:
    with network(*NAMES) as made:
        yield made


@pytest.fixture
def socket(hosts: Network, tmp_path: Path) -> Iterator[Path]:
    """The socket file of a Redis that the hosts reach at ``SERVER``."""
    path = tmp_path / "redis.sock"
    command = [*hosts.hub.run, need_program("redis-server"), "--bind", SERVER, "--unixsocket", str(path)]
    command += ["--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: listens(path), "redis-server listens")
            yield path
        finally:
            process.kill()


@pytest.fixture
def plant(socket: Path, tmp_path: Path) -> Iterator[Plant]:
    folder = tmp_path / "plant"
    folder.mkdir()
    with planted(folder, f"redis+socket://{socket}") as made:
        yield made
