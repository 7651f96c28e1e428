"""What commands print: tables at a terminal, plain text in a pipe, strict JSON when asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.cli.conftest import on_terminal
from umbel.cli.console import ago, clock, duration, json_safe, print_json, print_table

TABLE = "from umbel.cli.console import print_table; print_table('Queues', ('queue', 'waiting'), [('[red]mail', 12)])"


def test_json_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"nan": float("nan"), 1: (2, {3}), "odd": object, "text": "é"})
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["nan"] is None
    assert found["1"] == [2, [3]]
    assert found["text"] == "é"


def test_json_is_bounded_in_depth() -> None:
    nested: list[object] = []
    for _ in range(500):
        nested = [nested]
    json.dumps(json_safe(nested))


def test_plain_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Queues", ("queue", "waiting"), [("mail", 5), ("default", 1200), (None, "")])
    assert capsys.readouterr().out.splitlines() == [
        "Queues",
        "  queue    waiting",
        "  mail           5",
        "  default     1200",
        "",
    ]


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Workers", ("worker",), [], empty="none is running")
    assert capsys.readouterr().out == "Workers: none is running\n"


def test_a_terminal_gets_a_drawn_table_and_a_pipe_does_not(tmp_path: Path) -> None:
    piped = subprocess.run([sys.executable, "-c", TABLE], capture_output=True, text=True, timeout=60, check=True)
    assert piped.stdout == "Queues\n  queue      waiting\n  [red]mail       12\n"
    _, drawn = on_terminal([sys.executable, "-c", TABLE], "", tmp_path, dict(os.environ))
    assert "\x1b[" in drawn
    assert "[red]mail" in drawn
    assert "─" in drawn


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (0.0014, "1.4 ms"),
        (0.04, "40 ms"),
        (0.9996, "1.0 s"),
        (3, "3.0 s"),
        (45, "45 s"),
        (300, "5 min"),
        (9000, "2.5 h"),
        (172_800, "2 d"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_moments() -> None:
    now = time.time()
    assert ago(None) == ""
    assert ago(now - 300.5) == "5 min ago"
    assert ago(now + 300.5) == "in 5 min"
    assert len(clock(now)) == 8
    assert clock(0).startswith(("1970-01-01", "1969-12-31"))
