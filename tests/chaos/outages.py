"""The store is lost for seconds, by its own death or by the network's, and everybody has to come back by himself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Literal

from tests.chaos.fleet import Fleet
from tests.chaos.killer import Kill, Killer, Victim
from tests.chaos.redis_site import RedisSite

__all__ = ("BACK_SECONDS", "Event", "Outage", "Outages", "wait_until_back")

#: So soon after a fault's end every worker is to be at work again.
BACK_SECONDS: Final = 10.0
#: When to give up waiting for that.
_LOST_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.02
_LONGEST_CUT: Final = 5.0
_LONGEST_DEATH: Final = 3.0

Outage = Literal["server", "reset", "freeze"]


@dataclass(frozen=True, slots=True)
class Event:
    """One fault, with the ``kills`` in it. ``back``: seconds from its end until all worked again."""

    what: Victim | Outage
    ended: float
    kills: tuple[Kill, ...]
    back: float = 0.0

    def line(self) -> str:
        """Return what happened, and who was killed in it."""
        kills = "".join(f";{kill.line()}" for kill in self.kills)
        return f"  {self.what} until {self.ended:.3f}, all back {self.back:.1f} s after that{kills}"


class Outages:
    """Brings faults about: kills of processes, of the server, cuts of the link."""

    def __init__(self, site: RedisSite, killer: Killer, fleet: Fleet, chance: random.Random) -> None:
        self._site = site
        self._killer = killer
        self._fleet = fleet
        self._chance = chance

    def strike(self, what: Outage, *, companion: bool) -> Event:
        """Bring one about, to its end. ``companion``: a worker is killed while it lasts, where one can look."""
        kills: list[Kill] = []
        if what == "server":
            self._site.kill()
            time.sleep(self._chance.uniform(0.0, _LONGEST_DEATH))
            self._site.start()
            return Event(what, time.time(), ())
        self._site.cut(what)
        try:
            seconds = self._chance.uniform(1.0, _LONGEST_CUT)
            time.sleep(seconds / 2)
            if companion:
                kill = self._killer.strike("worker")
                kills += [kill] if kill is not None else []
            time.sleep(seconds / 2)
        finally:
            self._site.mend()
        ended = time.time()
        return Event(what, ended, tuple(replace(kill, ended=ended) for kill in kills))


def wait_until_back(event: Event, fleet: Fleet, processes: int, count: Callable[[int], int]) -> Event:
    """Wait until ``processes`` workers have each marked something since ``event``; note how long that took.

    ``count`` tells how many marks a process has left. Raises :exc:`TimeoutError` when they do not come back.
    """
    before: dict[int, int] = {}
    while True:
        pids = [child.pid for child in fleet.children("worker")]
        for pid in pids:
            before.setdefault(pid, count(pid))
        if sum(count(pid) > before[pid] for pid in pids) >= processes:
            return replace(event, back=time.time() - event.ended)
        if time.time() - event.ended > _LOST_SECONDS:
            idle = [pid for pid in pids if count(pid) == before[pid]]
            raise TimeoutError(f"{_LOST_SECONDS:g} s after {event.what} processes {idle} of {pids} still do not work")
        time.sleep(_LOOK_SECONDS)
