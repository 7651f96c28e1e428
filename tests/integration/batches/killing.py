"""Dies at each line of a scenario, each time in a process of its own.

``python -m tests.integration.batches.killing URL [SCENARIO]...``

A step is a line of the scenario's jobs, of the code of batches, chords and checkpoints, and of what settles them. After
each death a fleet recovers, and what is promised is judged. ``stride`` takes every so many steps only, from ``first``.

A lane is a process that has imported everything and opened nothing. It forks one that dies, then one that goes on and
judges, and so on: 30 ms a death. Lanes share no store, for what is left in one would be taken up by the other's fleet.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.integration.batches.bench import Bench
from tests.integration.batches.scenarios import SCENARIOS
from tests.killpoints import Killer, forked, forked_together
from umbel.jobs import batches

__all__ = ("campaign",)

_CODE: Final = (
    "/batches/bench.py",
    "/jobs/batches.py",
    "/jobs/batch_ids.py",
    "/jobs/batch_messages.py",
    "/jobs/checkpoints.py",
    "/engine/execution.py",
    "/engine/flusher.py",
    "/engine/results.py",
    "/engine/sqlite_batches.py",
    "/engine/sqlite_checkpoints.py",
    "/engine/sqlite_counters.py",
    "/engine/sqlite_groups.py",
    "/engine/sqlite_settle.py",
    "/engine/redis_batches.py",
    "/engine/redis_checkpoints.py",
    "/engine/redis_groups.py",
)
#: The lock of a block whose process has died lasts as long as a block would need to renew it.
_OPEN_SECONDS: Final = 0.02
_RECOVERY_SECONDS: Final = 10.0
_LANE_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class Lane:
    """Every so many steps of a scenario, one after the other, on a store of its own."""

    bench: Bench
    name: str
    folder: Path

    def run(self, first: int, stride: int) -> None:
        """Kill at the steps until a process gets through."""
        self._warm()
        step = first
        while True:
            label = f"{self.name}{step}"
            self.bench.effects = self.folder / f"effects-{step}"
            ended = forked(partial(self._die, step, label))
            if ended not in (0, -signal.SIGKILL):
                self._tell("faults", f"{self.name} step {step} ended with {ended}")
                return
            survived = forked(partial(self._survive, step, label))
            if survived:
                self._tell("faults", f"{self.name} step {step}: who came after it ended with {survived}")
            if ended == 0:
                return
            self._tell("deaths", str(step))
            step += stride

    def _warm(self) -> None:
        """Import what one who lives imports."""

        def live() -> None:
            self._die(0, f"{self.name}0")
            self._survive(0, f"{self.name}0")
            for name in list(sys.modules):
                self._tell("modules", name)

        self.bench.effects = self.folder / "effects-0"
        if forked(live):
            self._tell("faults", f"{self.name} without a death ended badly")
        for name in self.told("modules"):
            # Some are made by others, under a name that cannot be imported.
            with contextlib.suppress(ImportError):
                importlib.import_module(name)

    def _die(self, step: int, label: str) -> None:
        batches._OPEN_SECONDS = _OPEN_SECONDS  # type: ignore[misc]
        SCENARIOS[self.name].act(self.bench, label, partial(Killer(step).watch_lines, *_CODE))

    def _survive(self, step: int, label: str) -> None:
        """Do what a fleet does until nothing is wrong, or for so long that something must be."""
        deadline = time.monotonic() + _RECOVERY_SECONDS
        while True:
            self.bench.recover()
            found = SCENARIOS[self.name].judge(self.bench, label)
            if not found or time.monotonic() > deadline:
                break
        for fault in found:
            self._tell("faults", f"{self.name} step {step}: {fault}")
        self.bench.engine.close()

    def _tell(self, what: str, line: str) -> None:
        with (self.folder / what).open("a") as file:
            file.write(f"{line}\n")

    def told(self, what: str) -> list[str]:
        """What this lane's processes have said."""
        path = self.folder / what
        return path.read_text().splitlines() if path.exists() else []


def campaign(url: str, name: str, *, stride: int = 1, first: int = 1, lanes: int = 1) -> tuple[int, list[str]]:
    """Kill at the steps of a scenario until a process gets through; return how many died, and what is wrong.

    ``lanes`` work at the same time, each on a database of its own: numbers of Redis, files beside that of SQLite.
    """
    with tempfile.TemporaryDirectory(prefix="umbel-killing-") as folder:
        made = []
        for number in range(lanes):
            place = Path(folder) / str(number)
            place.mkdir()
            made.append(Lane(Bench(_store_of(url, number), place), name, place))
        works = [partial(lane.run, first + number * stride, lanes * stride) for number, lane in enumerate(made)]
        ended = forked_together(works, seconds=_LANE_SECONDS)
        faults = [f"lane {number} ended with {how}" for number, how in enumerate(ended) if how]
        faults += [fault for lane in made for fault in lane.told("faults")]
        return sum(len(lane.told("deaths")) for lane in made), faults


def _store_of(url: str, lane: int) -> str:
    if not lane:
        return url
    return f"{url}-{lane}" if url.startswith("sqlite:") else f"{url.rpartition('/')[0]}/{lane}"


def main(url: str, names: list[str]) -> int:
    """Run whole campaigns."""
    broken = 0
    logging.disable(logging.WARNING)
    for name in names or list(SCENARIOS):
        began = time.monotonic()
        died, faults = campaign(url, name, lanes=os.cpu_count() or 1)
        broken += len(faults)
        print(f"{name}: {died} steps in {time.monotonic() - began:.0f} s", *faults, sep="\n  ", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
