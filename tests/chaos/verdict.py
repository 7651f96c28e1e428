"""What a campaign proves: the figures, and what contradicts the contract."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from tests.chaos.killer import Kill
from tests.chaos.marks import Mark, Unit

__all__ = ("Verdict", "judge")

#: C14: a killed job restarts within so many seconds.
RESTART_SECONDS = 30.0


@dataclass(slots=True)
class Verdict:
    """The figures of one campaign. ``faults`` is empty when the contract held."""

    jobs: int
    kills: int
    lost: int
    doubled: int
    in_flight: int
    slowest_restart: float
    #: What else was measured.
    figures: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    #: Of effects that were never seen the keys, and what was done too often or never begun again.
    missing: set[str] = field(default_factory=set)
    strange: set[Unit] = field(default_factory=set)
    #: What there is to know of it when there are faults.
    story: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the figures on one line."""
        return (
            f"chaos jobs {self.jobs} kills {self.kills} lost {self.lost} doubled {self.doubled} "
            f"in_flight_at_kills {self.in_flight} slowest_restart_s {self.slowest_restart:.1f}"
            + "".join(f" {name} {value:g}" for name, value in self.figures.items())
        )


def judge(
    jobs: int,
    expected: set[str],
    marks: Iterable[Mark],
    kills: Sequence[Kill],
    *,
    atomic: bool = True,
    unknown: Set[str] = frozenset(),
    exact: bool = True,
) -> Verdict:
    """Hold the marks against what had to happen and what was in flight at the kills.

    ``atomic``: an end, what it published and its acknowledgement are one step (C18). Without that a retry or a
    chain's next step is doubled too when the execution before it was in flight.
    ``unknown``: what may have happened, once, because its dispatch ended in an error.
    ``exact``: a killed process had written what it believed to have written; over a network an end may have been on
    its way, and be written after the kill.
    """
    begun: dict[Unit, list[float]] = defaultdict(list)
    effects: Counter[Unit] = Counter()
    units: dict[str, set[Unit]] = defaultdict(set)
    for mark in marks:
        if mark.effect:
            effects[mark.unit] += 1
            units[mark.key].add(mark.unit)
        else:
            begun[mark.unit].append(mark.at)
    allowed = Counter(unit for kill in kills for unit in kill.in_flight)
    if not atomic:
        _inherit(allowed, units)
    lost = expected - units.keys()
    slowest, stuck = _restarts(kills, begun)
    if not exact:
        stuck = {unit for unit in stuck if not effects[unit]}
    verdict = Verdict(
        jobs=jobs,
        kills=len(kills),
        lost=len(lost),
        doubled=sum(count > 1 for count in effects.values()),
        in_flight=sum(len(kill.in_flight) for kill in kills),
        slowest_restart=slowest,
    )
    verdict.faults += _each("lost", lost)
    verdict.faults += _each("an effect that nobody asked for", units.keys() - expected - unknown)
    verdict.faults += _each("done under two ids or attempts", (key for key, by in units.items() if len(by) > 1))
    twice = [unit for unit, count in effects.items() if count > 1 + allowed[unit]]
    verdict.faults += _each("done again without a kill that explains it", twice)
    again = [unit for unit, times in begun.items() if len(times) > 1 + allowed[unit]]
    verdict.faults += _each("begun again without a kill that explains it", again)
    verdict.faults += _each("in flight at a kill and never begun again", stuck)
    verdict.missing, verdict.strange = lost, {*twice, *again, *stuck}
    if slowest > RESTART_SECONDS:
        verdict.faults.append(f"a killed job waited {slowest:.1f} s for its restart; {RESTART_SECONDS:g} are allowed")
    return verdict


def _inherit(allowed: Counter[Unit], units: dict[str, set[Unit]]) -> None:
    """Allow a successor what its predecessor is allowed: keys end in a dot or slash and their place."""
    for key in sorted(units):
        place = key[-1]
        before = key[:-1] + str(int(place) - 1) if key[-2:-1] in (".", "/") and place > "0" else ""
        for unit in units[key]:
            allowed[unit] += sum(allowed[other] for other in units.get(before, ()))


def _restarts(kills: Sequence[Kill], begun: dict[Unit, list[float]]) -> tuple[float, set[Unit]]:
    slowest, stuck = 0.0, set()
    for kill in kills:
        for unit in kill.in_flight:
            after = [at for at in begun[unit] if at > kill.at]
            if after:
                slowest = max(slowest, min(after) - max(kill.at, kill.ended))
            else:
                stuck.add(unit)
    return slowest, stuck


def _each(what: str, found: Iterable[object]) -> list[str]:
    several = sorted(map(str, found))
    return [f"{len(several)} {what}: {', '.join(several[:5])}"] if several else []
