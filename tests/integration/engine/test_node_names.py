"""Two workers of one host have different node names, whatever they are called and whoever dies."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_CLAIM = """
import sys
from umbel.engine.node_names import claim_name
print(claim_name(sys.argv[1], int(sys.argv[2]), "here", sys.argv[3]), flush=True)
sys.stdin.read()
"""
Claim = Callable[..., tuple[str, subprocess.Popen[str]]]


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[Claim]:
    """Return what starts a process that claims a name and keeps it."""
    begun: list[subprocess.Popen[str]] = []

    def start(base: str = "umbel", number: int = 1, url: str = "redis://a") -> tuple[str, subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "-c", _CLAIM, base, str(number), url],
            env={**os.environ, "TMPDIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout is not None
        return process.stdout.readline().strip(), process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def test_the_next_number_is_taken_and_a_dead_one_is_free(claim: Claim) -> None:
    name, first = claim()
    assert name == "umbel-1@here"
    assert [claim()[0], claim()[0]] == ["umbel-2@here", "umbel-3@here"]
    assert claim(url="redis://b")[0] == "umbel-1@here", "another broker"
    assert claim("mail")[0] == "mail-1@here"
    first.kill()
    first.wait()
    assert [claim(number=2)[0], claim()[0]] == ["umbel-4@here", "umbel-1@here"]
