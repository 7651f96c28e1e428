"""A RabbitMQ that both sides use, the state store beside it, and workers of either."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from celery import Celery

from umbel import Umbel
from umbel.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
WAIT = 60

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(params=["redis", "postgresql"])
def state_url(request: pytest.FixtureRequest) -> str:
    """The state store beside the broker: each test runs on both, unless it names one."""
    name = "redis_url" if request.param == "redis" else "postgres_state_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def plain(rabbit_url: str, state_url: str) -> Iterator[Celery]:
    """A client of plain Celery's."""
    app = Celery("client", broker=rabbit_url, backend=state_url, set_as_current=False)
    app.conf.task_default_queue = "shared"
    app.conf.task_default_queue_type = "quorum"
    yield app
    app.close()


@pytest.fixture
def umbel(rabbit_url: str, state_url: str) -> Iterator[Umbel]:
    """A client of Umbel's."""
    app = Umbel("client", broker=rabbit_url, settings=Settings(state_url=state_url), set_as_current=False)
    app.conf.task_default_queue = "shared"
    yield app
    app.engine.close()
    app.close()


@pytest.fixture
def start(rabbit_url: str, state_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start a worker by its command line; it is ended after the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*command: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "RABBIT_URL": rabbit_url,
            "UMBEL_STATE_URL": state_url,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        }
        with (tmp_path / f"worker-{len(running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        running.append(process)
        return process

    yield run
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def umbel_worker(start: Start) -> subprocess.Popen[bytes]:
    return start(*umbel_command())


@pytest.fixture
def celery_worker(start: Start) -> subprocess.Popen[bytes]:
    return start(
        "celery", "-A", "tests.integration.on_rabbit.plain_celery", "worker", "-P", "threads", "-c", "2",
        "--without-mingle", "--without-gossip",
    )  # fmt: skip


def umbel_command(*options: str, processes: int = 1) -> tuple[str, ...]:
    """Return the command line of a worker of Umbel's."""
    app = "tests.integration.on_rabbit.umbel_app:app"
    return ("umbel", "worker", "-A", app, "--processes", str(processes), "--concurrency", "4", *options)


def until(condition: Callable[[], object], what: str, seconds: float = WAIT) -> None:
    """Wait until ``condition`` is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain for: {what}"
        time.sleep(0.02)


def lines(path: Path) -> list[str]:
    """Return what jobs have left behind."""
    return path.read_text().splitlines() if path.exists() else []


def children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a supervisor's worker processes."""
    return psutil.Process(process.pid).children()
