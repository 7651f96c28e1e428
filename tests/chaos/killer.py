"""Who is killed when, and what was in flight at that moment."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import Literal

import psutil

from tests.chaos.fleet import Fleet, freeze, kill, thaw
from tests.chaos.marks import Unit
from tests.chaos.site import View

__all__ = ("Kill", "Killer")

Victim = Literal["worker", "suspects", "everything"]
#: The engine buries a job that has killed its process three times alone; kills from outside must not do that here.
_CRASHES_SPARED = 1
#: How often the choice is among all processes, those that are starting or idle included.
_ANYBODY = 0.2


@dataclass(frozen=True, slots=True)
class Kill:
    """One strike: when, at whom, and the units that were in flight there."""

    at: float
    victim: Victim
    pids: tuple[int, ...]
    in_flight: frozenset[Unit]
    #: Until then nobody could reach the store; the moment itself when it was reached all the time.
    ended: float = 0.0

    def line(self) -> str:
        """Return what happened, without the units."""
        return f"  killed {self.victim} {list(self.pids)} at {self.at:.3f}, {len(self.in_flight)} in flight"


class Killer:
    """Kills processes of a fleet."""

    def __init__(self, fleet: Fleet, store: View, chance: random.Random) -> None:
        self._fleet = fleet
        self._store = store
        self._chance = chance

    def strike(self, victim: Victim) -> Kill | None:
        """Kill, and return what was in flight; None if there was nobody of that kind, or he must be spared."""
        if victim == "everything":
            # Its supervisor first, so that none of them is replaced.
            targets = freeze([self._fleet.supervisor])
            targets += freeze(self._fleet.children())
        else:
            targets = freeze(self._pick(victim))
        if not targets:
            return None
        held = [message for process in targets for message in self._store.held_by(process.pid)]
        if any(message.crashes >= _CRASHES_SPARED for message in held):
            thaw(targets)
            return None
        at = time.time()
        kill(targets)
        if victim == "everything":
            self._fleet.crash()
        units = frozenset(message.unit for message in held)
        return Kill(at, victim, tuple(process.pid for process in targets), units)

    def _pick(self, role: Victim) -> list[psutil.Process]:
        """Choose one, mostly among those that hold something: one that is just starting proves little."""
        processes = self._fleet.children(role)
        busy = [process for process in processes if self._store.held_by(process.pid)]
        if role == "worker" and self._chance.random() < _ANYBODY:
            busy = []
        elif role == "suspects":
            processes = busy
        return [self._chance.choice(busy or processes)] if processes else []
