"""``umbel bench``: it measures, in a file and on Redis, and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RedisServer
from tests.integration.cli.conftest import Cli, until

RATES = ("dispatch_per_second", "enqueue_many_per_second", "drain_per_second", "latency_p50_ms", "latency_p99_ms")


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its private folders are made where we can look."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))


def left(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "temporary").glob("umbel-bench-*"))


def test_it_measures_a_private_file_and_says_a_line_a_figure(cli: Cli, tmp_path: Path) -> None:
    # What the user's own settings name is not touched.
    shown = cli.ok("bench", "--jobs", "200")
    names = [line[:13].strip() for line in shown.splitlines()]
    assert names == ["dispatch", "enqueue_many", "drain", "latency p50", "latency p99"]
    assert all(float(line[13:23].replace(",", "")) > 0 for line in shown.splitlines())
    assert not left(tmp_path)


def test_it_measures_a_redis_and_removes_its_keys(cli: Cli, redis_server: RedisServer, tmp_path: Path) -> None:
    before = redis_server.command("DBSIZE")
    told = json.loads(cli.ok("bench", "--jobs", "200", "--broker", redis_server.url, "--json"))
    assert (told["jobs"], told["processes"]) == (200, 1)
    assert all(told[name] > 0 for name in RATES)
    assert redis_server.command("DBSIZE") == before
    assert not left(tmp_path)


def test_ended_from_outside_it_removes_its_store_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "umbel", "bench", "--jobs", "1000000"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    try:
        until(lambda: any((folder / "umbel.db").exists() for folder in left(tmp_path)), "a private file")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
    assert not left(tmp_path)


def test_another_broker_is_refused_in_one_sentence(cli: Cli) -> None:
    done = cli.run("bench", "--broker", "amqp://localhost")
    assert done.returncode == 2
    assert done.stderr == "Error: --broker takes the URL of a Redis, such as redis://localhost:6379/0.\n"
