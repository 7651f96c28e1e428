"""SIGKILL at every boundary between the first statement of a transaction and the row's deletion (C12).

A job exists if and only if the row of business data does, and none twice: see :mod:`tests.integration.outbox.killing`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.outbox.killing import SCENARIOS
from tests.integration.outbox.shop import Shop
from tests.integration.worker.plant import until

ROOT = Path(__file__).resolve().parents[3]
#: A scenario with fewer steps than this has lost its way.
LEAST = 10


@pytest.mark.slow
@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_c12_a_kill_at_any_step_neither_loses_nor_doubles(shop: Shop, scenario: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.outbox.killing", shop.database, shop.broker, scenario],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > LEAST, done.stdout
    relay = shop.relay()

    def relayed() -> bool:
        # A server may still hold what a killed process had locked.
        relay.drain()
        return shop.rows() == 0

    until(relayed, "the relay has published everything")
    relay.close()
    labels = shop.labels()
    print(f"{scenario}: {done.stdout.strip()} kills, {len(labels)} orders")
    assert [label for label in labels if not shop.has(label)] == []
    assert shop.queued() == len(labels)
    assert 0 < len(labels) <= int(done.stdout) + 1
