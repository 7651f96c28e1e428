"""SIGKILL at every step of a job whose effect happens once per key (C32): see :mod:`tests.integration.effects.killing`.

The job runs again after each death, as a worker lets it, and what the gateway, or the database, has is counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.integration.effects.bank import Bank

ROOT = Path(__file__).resolve().parents[3]
#: A scenario with fewer steps than this has lost its way.
LEAST = 5


def deaths(url: str, bank: Bank, name: str) -> list[tuple[str, str, str]]:
    """Let a job die everywhere; return for each death the label, and how its second execution ended."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.effects.killing", url, str(bank.folder)]
        + [str(bank.jobs.settings.database_url), name],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > LEAST, done.stdout
    return [tuple(json.loads(line)) for line in (bank.folder / "ends").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hold", "ahold", "block", "ablock"])
def test_c32_what_was_interrupted_is_held_and_never_repeated(bank: Bank, url: str, name: str) -> None:
    ends = deaths(url, bank, name)
    kinds = Counter((state, left.partition(" ")[0], bank.charged(label)) for label, state, left in ends)
    charged = {"SUCCESS": 1}
    assert all(count == charged.get(state, count) <= 1 for state, _, count in kinds), kinds
    assert {left for _, left, _ in kinds} == {"charged", "EffectUncertain"}, kinds
    assert ("FAILURE", "EffectUncertain", 0) in kinds, "killed between the word and the deed"
    assert ("FAILURE", "EffectUncertain", 1) in kinds, "killed between the deed and the word"
    held = sum(count for (state, _, _), count in kinds.items() if state == "FAILURE")
    assert len(bank.jobs.effects.uncertain()) == held


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ask", "repeat"])
def test_c32_with_another_side_that_knows_it_happens_once(bank: Bank, url: str, name: str) -> None:
    for label, state, left in deaths(url, bank, name):
        assert (state, left, bank.charged(label)) == ("SUCCESS", f"charged {label}", 1)
    assert bank.jobs.effects.uncertain() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["invoice", "ainvoice"])
def test_c32_in_the_keys_own_transaction_it_happens_once(bank: Bank, url: str, name: str) -> None:
    ends = deaths(url, bank, name)
    assert [(state, left) for _, state, left in ends] == [("SUCCESS", f"charged {label}") for label, _, _ in ends]
    assert bank.invoices() == sorted(label for label, _, _ in ends)
