"""A thousand jobs at a hundred a second over four processes: exact in any window, and done when they can be (C33)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.site import Site
from tests.chaos.verdict import Verdict
from tests.integration.worker.plant import Plant, planted, until
from umbel.testing.contract._limits import most_in_any

__all__ = ("LimitCampaign",)

_RATE: Final = 100
_SLOWEST: Final = 1.05
_DEFERRALS: Final = 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitCampaign:
    """Jobs that wait for their rate; nobody is killed."""

    jobs: int
    processes: int
    site: Callable[[Path], Site]
    folder: Path
    seed: int
    say: Callable[[str], None]

    def run(self) -> Verdict:
        """Run it and judge what was told."""
        site = self.site(self.folder)
        try:
            with planted(self.folder, getattr(site, "direct", site.broker)) as plant:
                return self._judge(plant, self._work(plant))
        finally:
            site.close()

    def _work(self, plant: Plant) -> set[int]:
        plant.start(
            app="tests.integration.worker.limited_jobs:app",
            processes=self.processes,
            concurrency=10,
            LIMITED_TOLD="1",
        )
        task: Any = plant.app.task(name="limited.hundred", typing=False)(_elsewhere)
        sent = list(task.enqueue_many([(str(number),) for number in range(self.jobs)]))
        until(lambda: len(plant.lines("start")) >= self.jobs, "all have started", self.jobs / _RATE + 120)
        until(plant.empty, "all have ended")
        return {stored.attempt for stored in plant.engine.read(sent)}

    def _judge(self, plant: Plant, attempts: set[int]) -> Verdict:
        starts = [line.at for line in plant.lines("start")]
        granted = [float(line.words[2]) for line in plant.lines("granted")]
        lags = sorted(float(line.words[3]) for line in plant.lines("granted"))
        deferrals = len(plant.lines("put-off")) / self.jobs
        ideal = (self.jobs - _RATE) / _RATE
        took = max(starts) - min(starts)
        figures = {
            "most_granted_in_1_s": most_in_any(granted, 1.0),
            "most_started_in_1_s": most_in_any(starts, 1.0),
            "took_s": round(took, 3),
            "ideal_s": ideal,
            "deferrals_a_job": deferrals,
            "lag_p99_ms": round(lags[int(len(lags) * 0.99)] * 1000, 1),
            "attempts": max(attempts),
        }
        faults = [
            fault
            for broken, fault in (
                (len(starts) != self.jobs, f"{len(starts)} starts of {self.jobs} jobs"),
                (figures["most_granted_in_1_s"] > _RATE, "more grants in a second than the limit"),
                (figures["most_started_in_1_s"] > _RATE, "more starts in a second than the limit"),
                (took > ideal * _SLOWEST, "slower than 5 % above the ideal"),
                (deferrals > _DEFERRALS, "more than 1.1 deferrals a job"),
                (attempts != {0}, "waiting has used attempts"),
            )
            if broken
        ]
        verdict = Verdict(self.jobs, 0, max(0, self.jobs - len(starts)), 0, 0, 0.0, figures, faults)
        self.say(f"chaos limits began {time.time() - took:.0f}")
        return verdict


def _elsewhere(*_: Any) -> None:
    """What a client knows of the task's body."""
