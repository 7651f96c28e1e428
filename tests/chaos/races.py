"""Races without end: the suite's, again and again, on every store, in threads and in processes that are killed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.redis_site import RedisSite
from tests.postgres import running_postgres
from tests.primitives.crew import crew, in_threads
from tests.primitives.races import RACES
from tests.primitives.stores import open_store

__all__ = ("Races", "RacesVerdict")

#: Of so many heats one is between threads, which take longer and are not killed.
_THREADS_EVERY: Final = 4


@dataclass(slots=True)
class RacesVerdict:
    """The figures of the races. ``faults`` is empty when the contract held."""

    heats: int = 0
    kills: int = 0
    faults: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the figures on one line."""
        return f"chaos heats {self.heats} kills {self.kills} broken {len(self.faults)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Races:
    """``heats`` of each race on each store, with ``kills`` processes killed in each."""

    folder: Path
    heats: int
    kills: int
    seed: int = 0
    say: Callable[[str], None] = print

    def run(self) -> RacesVerdict:
        """Run all of them to the end."""
        verdict = RacesVerdict()
        with _stores(self.folder) as stores:
            for kind, url in stores.items():
                folder = self.folder / f"on-{kind}"
                folder.mkdir()
                self._race(kind, url, folder, verdict)
        return verdict

    def _race(self, kind: str, url: str, folder: Path, verdict: RacesVerdict) -> None:
        store = open_store(url)
        try:
            with crew(url, folder, seed=self.seed) as racers:
                for race in RACES.values():
                    for number in range(self.heats):
                        name = f"{race.name}{number}"
                        if number % _THREADS_EVERY:
                            faults = racers.heat(race, store, name, self.kills)
                            verdict.kills += self.kills
                        else:
                            faults = in_threads(race, store, folder, name)
                        verdict.faults += [f"{kind} {race.name} heat {number}: {fault}" for fault in faults]
                        verdict.heats += 1
                    self.say(f"  {kind}: {self.heats} heats of {race.name}, {len(verdict.faults)} faults so far")
        finally:
            store.close()


@contextlib.contextmanager
def _stores(folder: Path) -> Iterator[dict[str, str]]:
    """Give the URLs of stores of our own."""
    site = RedisSite(folder, append=False)
    try:
        with running_postgres(_program) as postgres:
            yield {
                "sqlite": f"sqlite:///{folder}/races.db",
                "redis": site.direct,
                "state-redis": f"state+redis://127.0.0.1:{site.port}/1",
                "state-postgresql": f"state+{postgres.url}",
            }
    finally:
        site.close()


def _program(name: str, *places: str) -> str:
    folders = [str(path) for place in places for path in sorted(Path("/").glob(place.lstrip("/")), reverse=True)]
    found = shutil.which(name) or shutil.which(name, path=":".join(folders) or None)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: sh scripts/install-test-servers does it.")
    return found
