"""A tenant with a million jobs, and tenants that send one now and then: how soon those start (C34).

A worker with a few slots works off the million meanwhile. Each of the others' jobs is timed from before its dispatch to
its start; the slowest counts.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tests.chaos.verdict import Verdict
from umbel import Settings, Umbel

__all__ = ("FairCampaign", "Place", "app")

_PATIENCE: Final = 60.0
_LOOK: Final = 0.005
_PROMISED: Final = 1.0


class Place(Protocol):
    """Where it takes place: a broker of the campaign's own. What has a ``state`` beside it is RabbitMQ."""

    @property
    def broker(self) -> str:
        """The URL."""

    def close(self) -> None:
        """End it."""


def _work(tenant: str, seconds: float) -> None:
    """A job of the tenant with many, and of those with one."""
    if tenant.startswith("one-"):
        fd = os.open(os.environ["FAIR_TRAIL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{tenant} {time.time():.6f}\n".encode())
        os.close(fd)
    time.sleep(seconds)


def _made(**how: Any) -> Umbel:
    jobs = Umbel("fair", set_as_current=False, **how)
    jobs.task(name="fair.work", fair="tenant", ignore_result=True, shared=False)(_work)
    return jobs


#: The workers'.
app = _made()


@dataclass(slots=True)
class FairCampaign:
    """``jobs`` of one tenant, and ``others`` with one each, while a worker with ``concurrency`` slots is at work."""

    folder: Path
    site: Callable[[Path], Place]
    jobs: int
    others: int = 20
    seconds: float = 0.01
    concurrency: int = 4
    say: Callable[[str], None] = print
    seed: int = 0
    _trail: Path = field(init=False)
    _app: Umbel = field(init=False)

    def run(self) -> Verdict:
        """Run it all; the verdict's figures are seconds."""
        self._trail = self.folder / "trail"
        site = self.site(self.folder)
        state = getattr(site, "state", None)
        self._app = _made(broker=site.broker, settings=Settings(state_url=state))
        began = time.monotonic()
        sent = sum(
            1 for _ in self._app.tasks["fair.work"].enqueue_many(("many", self.seconds) for _ in range(self.jobs))
        )
        queueing = time.monotonic() - began
        self.say(f"{sent:,} jobs queued in {queueing:.1f} s")
        worker = self._start({"UMBEL_BROKER_URL": site.broker, **({"UMBEL_STATE_URL": state} if state else {})})
        try:
            waits = [self._one(f"one-{number}") for number in range(self.others)]
            left = sum(queue.ready for queue in self._app.engine.queues())
        finally:
            worker.terminate()
            worker.wait(_PATIENCE)
            self._app.engine.close()
            site.close()
        return self._verdict(waits, left, sent / queueing)

    def _start(self, urls: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "umbel", "worker", "-A", "tests.chaos.fair:app", "--processes", "1"]
        with (self.folder / "worker.log").open("wb") as log:
            worker = subprocess.Popen(
                [*command, "-c", str(self.concurrency)],
                env={**os.environ, **urls, "FAIR_TRAIL": str(self._trail)},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until = time.monotonic() + _PATIENCE
        while not self._app.engine.workers() or not any(queue.leased for queue in self._app.engine.queues()):
            if time.monotonic() > until:
                raise TimeoutError("the worker has not begun to work")
            time.sleep(0.1)
        return worker

    def _one(self, tenant: str) -> float:
        """Send another tenant's only job; return how long it took to start."""
        began = time.time()
        self._app.tasks["fair.work"].delay(tenant, 0.0)
        while time.time() - began < _PATIENCE:
            for line in self._trail.read_text().splitlines() if self._trail.exists() else ():
                name, at = line.split()
                if name == tenant:
                    self.say(f"{tenant} started after {float(at) - began:.3f} s")
                    return float(at) - began
            time.sleep(_LOOK)
        return _PATIENCE

    def _verdict(self, waits: list[float], left: int, rate: float) -> Verdict:
        figures: dict[str, float] = {
            "queued_a_second": round(rate),
            "many_left": left,
            "one_started_after_at_most": round(max(waits), 3),
            "one_started_after_median": round(sorted(waits)[len(waits) // 2], 3),
        }
        faults = [f"a tenant's one job started after {wait:.1f} s" for wait in waits if wait > _PROMISED]
        if not left:
            faults.append("the many were done before the ones were asked for: nothing was shown")
        return Verdict(self.jobs, 0, 0, 0, 0, 0.0, figures, faults)
