"""Processes that die at every line of what lets an effect happen once per key (C32).

Each kind of job of :mod:`tests.integration.effects.bank`, once for each line of its body and of what stands around it;
what the gateway, or the database, has is counted after the job has run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.site import Site
from tests.chaos.verdict import Verdict
from tests.integration.effects.bank import BODIES, Bank

__all__ = ("EffectCampaign",)

_ONCE: Final = ("ask", "repeat", "invoice", "ainvoice")


@dataclass(slots=True)
class EffectCampaign:
    """``bodies`` on one store; with ``lines`` at each line, else at the moments that matter only."""

    folder: Path
    site: Callable[[Path], Site]
    bodies: tuple[str, ...] = tuple(BODIES)
    lines: bool = True
    say: Callable[[str], None] = print
    seed: int = 0

    def run(self) -> Verdict:
        """Let each die everywhere."""
        site = self.site(self.folder)
        faults: list[str] = []
        figures: dict[str, float] = {}
        try:
            for name in self.bodies:
                folder = self.folder / name
                folder.mkdir()
                kinds = self._die(site.broker, folder, name)
                figures[name] = sum(kinds.values())
                self.say(f"{name}: {dict(kinds)}")
                faults += [f"{name}: {count} ended {kind}" for kind, count in kinds.items() if not _holds(name, *kind)]
        finally:
            site.close()
        return Verdict(len(self.bodies), int(sum(figures.values())), 0, 0, 0, 0.0, figures, faults)

    def _die(self, url: str, folder: Path, name: str) -> Counter[tuple[str, str, int]]:
        """Return how often a job's second execution ended how, and how often the effect was there then."""
        bank = Bank(url, folder)
        bank.make_tables()
        how = ["lines"] if self.lines else []
        command = [sys.executable, "-m", "tests.integration.effects.killing", url, str(folder)]
        done = subprocess.run([*command, str(bank.jobs.settings.database_url), name, *how], env=os.environ, check=False)
        if done.returncode:
            raise RuntimeError(f"the campaign {name} could not be run")
        written = Counter(bank.invoices())
        kinds: Counter[tuple[str, str, int]] = Counter()
        for line in (folder / "ends").read_text().splitlines():
            label, state, left = json.loads(line)
            there = written[label] if "invoice" in name else bank.charged(label)
            kinds[state, "itself" if left == f"charged {label}" else left, there] += 1
        bank.close()
        return kinds


def _holds(name: str, state: str, left: str, there: int) -> bool:
    if (state, left, there) == ("SUCCESS", "itself", 1):
        return True
    return name not in _ONCE and (state, left) == ("FAILURE", "EffectUncertain") and there <= 1
