"""A process that is killed at any line leaves each callback to be one job, and each row repeated once at the most.

Here at some of the lines; at all of them by ``python -m tests.integration.batches.killing URL``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.batches.killing import campaign
from tests.integration.batches.scenarios import SCENARIOS

_STRIDES = {"open": 41, "members": 149, "in_job": 223, "chord": 97, "rows": 149}


@pytest.mark.parametrize("store", ["sqlite", "redis"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_c18_killed_at_any_line(name: str, store: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue("redis_url") if store == "redis" else f"sqlite:///{tmp_path}/jobs.db"
    died, faults = campaign(url, name, stride=_STRIDES[name], first=7)
    assert faults == []
    assert died >= 3
