"""C32: eight processes that race cause each effect once, on each store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.effects.racing import KEYS, PROCESSES

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("store", ["sqlite", "redis_url", "postgres_state_url"])
def test_c32_of_eight_processes_one_causes_it(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db" if store == "sqlite" else str(request.getfixturevalue(store))
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.effects.racing", url, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    charges = (tmp_path / "charges").read_text().splitlines()
    assert sorted(charges) == sorted(f"named:{key}" for key in range(KEYS))
    given = [json.loads((tmp_path / f"given-{number}").read_text()) for number in range(PROCESSES)]
    assert all(one == given[0] for one in given), "all have the first one's result"
