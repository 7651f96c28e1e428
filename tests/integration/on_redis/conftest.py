"""A Redis that both sides use, and workers of either."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from umbel import Umbel

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def plain(redis_url: str) -> Iterator[Celery]:
    """A client of plain Celery's."""
    app = Celery("client", broker=redis_url, backend=redis_url, set_as_current=False)
    app.conf.task_default_queue = "shared"
    yield app
    app.close()


@pytest.fixture
def umbel(redis_url: str) -> Iterator[Umbel]:
    """A client of Umbel's."""
    app = Umbel("client", broker=redis_url, set_as_current=False)
    app.conf.task_default_queue = "shared"
    yield app
    app.engine.close()
    app.close()


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start a worker by its command line; it is ended after the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*command: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "PLAIN_REDIS": redis_url,
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


def umbel_command(redis_url: str, *words: str) -> str:
    """Run one command of the application of Umbel's to its end; return what it printed."""
    environment = {
        **os.environ,
        "PLAIN_REDIS": redis_url,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
    }
    command = [sys.executable, "-m", "umbel", *words, "-A", "tests.integration.on_redis.umbel_app:app"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def umbel_worker(start: Callable[..., subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    return start("umbel", "worker", "-A", "tests.integration.on_redis.umbel_app:app", "--processes", "1")


@pytest.fixture
def celery_worker(start: Callable[..., subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    return start(
        "celery", "-A", "tests.integration.on_redis.plain_celery", "worker", "-P", "threads", "-c", "2",
        "--without-mingle", "--without-gossip",
    )  # fmt: skip
