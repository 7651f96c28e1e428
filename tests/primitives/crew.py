"""Who races: fifty threads of this process, or eight processes of which some are killed where they stand."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.primitives.race import Heat, Race, Racer, read
from tests.primitives.stores import Store

__all__ = ("PROCESSES", "THREADS", "Crew", "crew", "in_threads")

THREADS: Final = 50
PROCESSES: Final = 8
_SECONDS: Final = 150.0
_ROOT: Final = Path(__file__).resolve().parents[2]


def in_threads(race: Race, store: Store, folder: Path, heat: str, racers: int = THREADS) -> list[str]:
    """Run one heat between threads that share a store; return what broke the promise."""
    race.prepare(store, heat)
    log = folder / f"{race.name}-{heat}"
    barrier = threading.Barrier(racers)
    failed: list[str] = []

    def run(racer: Racer) -> None:
        try:
            barrier.wait(_SECONDS)
            race.run(store, heat, racer)
        except Exception as error:
            failed.append(f"{racer.name}: {type(error).__name__}: {error}")

    names = [f"t{number}" for number in range(racers)]
    threads = [threading.Thread(target=run, args=(Racer(name, log),)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed + list(race.judge(store, Heat(heat, read(log), frozenset(names))))


class Crew:
    """Processes that stand ready on one store."""

    def __init__(self, url: str, folder: Path, *, processes: int = PROCESSES, seed: int = 0) -> None:
        self._url: Final = url
        self._folder: Final = folder
        self._chance: Final = random.Random(seed)
        self._started = 0
        self._racers: dict[str, _Process] = {}
        for _ in range(processes):
            self._start()

    def _start(self) -> None:
        self._started += 1
        name = f"p{self._started}"
        self._racers[name] = _Process(self._url, name, self._folder)

    def heat(self, race: Race, store: Store, name: str, kills: int = 0) -> list[str]:
        """Run one heat, of whose racers ``kills`` are killed in the middle; return what broke the promise."""
        for one, racer in self._racers.items():
            said = racer.answer()
            assert said == "ready", f"{one}: {said}"
        race.prepare(store, name)
        log = self._folder / f"{race.name}-{name}"
        for racer in self._racers.values():
            racer.go(race.name, name, log)
        killed = self._kill(kills)
        everybody = frozenset(self._racers)
        for one in killed:
            del self._racers[one]
        failed = [f"{one}: {said}" for one, racer in self._racers.items() if (said := racer.answer()) != "done"]
        for racer in self._racers.values():
            racer.stand_ready()
        for _ in killed:
            self._start()
        return failed + list(race.judge(store, Heat(name, read(log), everybody, killed)))

    def _kill(self, kills: int) -> frozenset[str]:
        killed = self._chance.sample(sorted(self._racers), kills)
        for name in killed:
            time.sleep(self._chance.uniform(0.0, 0.004))
            self._racers[name].kill()
        return frozenset(killed)

    def close(self) -> None:
        """End all of them."""
        for racer in self._racers.values():
            racer.kill()


class _Process:
    """One racer in a process of its own: see ``racer.py``."""

    def __init__(self, url: str, name: str, folder: Path) -> None:
        self._name: Final = name
        self._log: Final = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.primitives.racer", url, name],
                cwd=_ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src")))},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def go(self, *words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()

    def stand_ready(self) -> None:
        """Say again that it is ready, when it is asked next."""
        self.go("ready")

    def answer(self) -> str:
        """Return what it says next: ``ready``, ``done``, or why it failed."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _SECONDS)[0]:
            return f"no answer for {_SECONDS:g} s"
        line = self._process.stdout.readline().strip()
        return line or f"it ended with {self._process.wait(_SECONDS)}: {self._log.read_text()[-1000:]}"

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait(_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


@contextmanager
def crew(url: str, folder: Path, **how: int) -> Iterator[Crew]:
    """Give a crew that is ended with the block."""
    made = Crew(url, folder, **how)
    try:
        yield made
    finally:
        made.close()
