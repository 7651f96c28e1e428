"""Stores of every kind that keeps the primitives."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.integration.worker.plant import until
from tests.postgres import running_postgres
from tests.primitives.clocks import Clock, FileClock, server_clock
from tests.primitives.models import Scene
from tests.primitives.stores import Store, open_store
from tests.unix_socket import listens

#: An engine's own primitives, and those of state stores beside a broker.
KINDS = ("sqlite", "redis", "state+redis", "state+postgresql")


@pytest.fixture(params=KINDS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store."""
    kind = str(request.param)
    if kind == "sqlite":
        return f"sqlite:///{tmp_path}/store/jobs.db"
    url = request.getfixturevalue("redis_url" if kind.endswith("redis") else "postgres_state_url")
    return f"state+{url}" if kind.startswith("state+") else str(url)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = open_store(store_url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def clocked_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Clock]]:
    """A private Redis whose clock is moved, and that clock."""
    folder = tmp_path_factory.mktemp("redis-clock")
    clock, environment = server_clock(folder)
    path = folder / "redis.sock"
    command = [need_program("redis-server"), "--port", "0", "--unixsocket", str(path), "--save", ""]
    with subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: listens(path), "redis-server listens")
            yield f"redis+socket://{path}", clock
        finally:
            process.kill()


@pytest.fixture(scope="module")
def clocked_postgres() -> Iterator[tuple[str, Clock]]:
    """A private PostgreSQL whose clock is moved, and that clock. Its user sees no folder of pytest's."""
    with tempfile.TemporaryDirectory(prefix="umbel-clock-") as name:
        clock, environment = server_clock(Path(name))
        with contextlib.ExitStack() as stack:
            with pytest.MonkeyPatch.context() as patch:
                for variable, value in environment.items():
                    patch.setenv(variable, value)
                server = stack.enter_context(running_postgres(need_program))
            yield server.url, clock


@pytest.fixture(scope="module", params=KINDS)
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A store whose time is moved. It is not emptied: each example of a model has names of its own."""
    kind = str(request.param)
    with contextlib.ExitStack() as stack:
        clock: Clock
        if kind == "sqlite":
            clock = stack.enter_context(FileClock().installed())
            url = f"sqlite:///{tmp_path_factory.mktemp('models')}/jobs.db"
        else:
            url, clock = request.getfixturevalue("clocked_redis" if kind.endswith("redis") else "clocked_postgres")
        store = open_store(f"state+{url}" if kind.startswith("state+") else url)
        stack.callback(store.close)
        yield Scene(store, clock)
