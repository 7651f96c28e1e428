"""What tests share is started once: tests of one group run in one process, whatever xdist and pytest make of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CONFTEST = """
import pytest
from tests.together import Together, write_down

@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session):
    if hasattr(session.config, "workerinput"):
        write_down(session.config, session.items)

def pytest_xdist_make_scheduler(config, log):
    return Together(config, log)
"""

TESTS = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("group", [pytest.param(g, marks=pytest.mark.xdist_group(g)) for g in ("a b", "c/d")])
def test_together(group, number):
    with pathlib.Path(__file__).with_name("ran").open("a") as file:
        file.write(f"{group}={os.getpid()}\\n")
"""


def test_tests_of_a_group_run_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    options = ["-c", "/dev/null", "--rootdir", str(tmp_path), "-o", f"pythonpath={ROOT}", "test_it.py"]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = [line.split("=") for line in (tmp_path / "ran").read_text().splitlines()]
    assert len(ran) == 8
    assert {group: len({pid for name, pid in ran if name == group}) for group, _ in ran} == {"a b": 1, "c/d": 1}
