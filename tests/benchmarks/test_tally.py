"""One protocol in three languages: what a job reports in Node and Ruby, the Python observer reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.inside import tally

INSIDE = Path(tally.__file__).parent
PYTHON = (
    "import time; from benchmarks.inside import tally; [tally.done() for _ in range(3)];"
    "tally.stamp(time.monotonic() - 5)"
)
NODE = (
    f"const t = require('{INSIDE}/tally.js'); const done = t.open(); done(); done(); done();"
    "t.stamp(Number(process.hrtime.bigint()) / 1e9 - 5); if (t.stamps().length !== 1) process.exit(3)"
)
RUBY = (
    f"require '{INSIDE}/tally'; Tally.done; Thread.new {{ 2.times {{ Tally.done }} }}.join;"
    "Tally.stamp(Tally.now - 5); exit 3 if Tally.stamps.length != 1"
)


#: A peer whose language is not here is not measured here either.
PROGRAMS = [(sys.executable, "-c", PYTHON), ("node", "-e", NODE), ("ruby", "-e", RUBY)]


@pytest.mark.parametrize("command", [command for command in PROGRAMS if shutil.which(command[0])])
def test_the_observer_reads_what_jobs_report(tmp_path: Path, command: Sequence[str]) -> None:
    before = time.monotonic()
    environment = os.environ | {"BENCH_DIR": str(tmp_path), "PYTHONPATH": str(INSIDE.parents[1])}
    subprocess.run(command, env=environment, check=True, timeout=60)
    total = tally.read(tmp_path)
    assert (total.jobs, total.processes) == (3, 1)
    assert before <= total.first <= total.last <= time.monotonic()
    (late,) = tally.stamps(tmp_path)
    assert 5.0 <= late < 5.0 + time.monotonic() - before
