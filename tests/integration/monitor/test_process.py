"""The recorder's process: what it ends with, and that it ends with its supervisor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import free_port
from umbel.engine.sqlite import SQLiteEngine
from umbel.monitor.history import History


def start(folder: Path, history: str) -> subprocess.Popen[bytes]:
    place = {"url": history, "age": 60.0, "failures_age": 60.0, "most": 10}
    told = {"url": f"sqlite:///{folder / 'jobs.db'}", "engine": {}, "history": place, "loglevel": "INFO"}
    process = subprocess.Popen(
        [sys.executable, "-m", "umbel.monitor"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(told).encode() + b"\n")
    process.stdin.flush()
    return process


def test_it_ends_with_whoever_started_it(tmp_path: Path) -> None:
    process = start(tmp_path, f"sqlite:///{tmp_path / 'history.db'}")
    # Its input ends with the process that holds the other side.
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")
    history = History(f"sqlite:///{tmp_path / 'history.db'}")
    assert history.jobs.count().number == 0
    history.close()


@pytest.mark.parametrize(
    ("history", "code", "text"),
    [
        ("postgresql+psycopg://nobody@127.0.0.1:{port}/none", 69, "There is no history for now"),
        ("mysql://host/none", 78, "UMBEL_HISTORY_URL names mysql"),
    ],
)
def test_its_code_says_whether_to_try_again(tmp_path: Path, history: str, code: int, text: str) -> None:
    process = start(tmp_path, history.format(port=free_port()))
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert text in said.decode()


def test_what_happens_while_the_tables_are_made_is_kept(tmp_path: Path) -> None:
    """Here the history's database is away, so that it takes longer than this test."""
    start(tmp_path, f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none").communicate(timeout=60)
    engine = SQLiteEngine(tmp_path / "jobs.db")
    assert engine.events.is_kept()
    engine.close()


def test_without_a_history_nothing_is_kept_for_it(tmp_path: Path) -> None:
    start(tmp_path, "mysql://host/none").communicate(timeout=60)
    engine = SQLiteEngine(tmp_path / "jobs.db")
    assert not engine.events.is_kept()
    engine.close()
