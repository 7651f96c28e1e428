"""P9: what each declaration costs beside none, in the file and on Redis, and beside the nearest thing elsewhere."""

from dataclasses import dataclass, field
from typing import Any

from benchmarks.bench import Bench
from benchmarks.drain import drain
from benchmarks.figure import Figure, ratio
from benchmarks.inside.declarations import known
from benchmarks.site import Broken
from benchmarks.subjects import Subject
from benchmarks.subjects.nearest import BESIDE, NEAREST, PLAIN
from benchmarks.subjects.umbel import declaring

__all__ = ["declarations"]

_PLACES = {"embedded": "", "redis": "redis"}
#: So many are enqueued for each second of a measurement.
_BULK = 20_000
_RATES = {"drain": "drain", "dispatch": "dispatch", "bulk": "enqueue_many"}


@dataclass(slots=True)
class _Costs:
    """The rates of each subject by round, for each of drain, dispatch and bulk."""

    bench: Bench
    rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def measure(self, subject: Subject, number: int) -> None:
        """One round of one subject."""
        plan = self.bench.plan
        if not self.bench.available(subject):
            return
        self.bench.say(f"declarations, round {number + 1} of {plan.cost_rounds}: {subject.name}")
        try:
            with self.bench.site(subject) as here:
                jobs = round(subject.pace * plan.cost_seconds)
                here.client("fill", jobs=jobs)
                self._keep(subject, "drain", drain(here, subject.variants[0], jobs))
            if subject.bulk:
                # As many for all: the first of them connects.
                self._keep(subject, "bulk", self.bench.client(subject, "fill", jobs=round(_BULK * plan.cost_seconds)))
            jobs = round(subject.dispatch_pace * plan.cost_seconds / 2)
            self._keep(subject, "dispatch", self.bench.client(subject, "dispatch", jobs=jobs))
        except Broken as broken:
            self.bench.lose(subject, str(broken))

    def _keep(self, subject: Subject, rate: str, outcome: dict[str, Any]) -> None:
        self.bench.sample(f"cost_{rate}", subject.name, outcome)
        self.rates.setdefault((rate, subject.name), []).append(outcome["rate"])

    def show(self, name: str, rate: str, ours: str, theirs: str) -> None:
        """The median of the rounds' ratios of two subjects."""
        value = ratio(self.rates.get((rate, ours), []), self.rates.get((rate, theirs), []))
        note = next((self.bench.missing[one] for one in (ours, theirs) if one in self.bench.missing), "not measured")
        self.bench.show(Figure("P9", name, value, note=note))


def declarations(bench: Bench) -> None:
    """Interleave all of them, then show each round's ratios as their median."""
    ours = {
        (place, name): declaring(name, one, server)
        for place, server in _PLACES.items()
        for name, one in known().items()
    }
    costs = _Costs(bench)
    for number in range(bench.plan.cost_rounds):
        for subject in (*ours.values(), *NEAREST.values()):
            costs.measure(subject, number)
    for (place, name), subject in ours.items():
        if name != "none":
            for rate, word in _RATES.items():
                costs.show(f"{place}_{word}_with_{name}", rate, subject.name, ours[place, "none"].name)
    for name, peers in BESIDE.items():
        for peer in peers:
            if ("redis", name) in ours:
                costs.show(f"redis_drain_with_{name}_vs_{_word(peer)}", "drain", ours["redis", name].name, peer)
                costs.show(f"redis_dispatch_with_{name}_vs_{_word(peer)}", "dispatch", ours["redis", name].name, peer)
    for peer, plain in PLAIN.items():
        for rate in ("drain", "dispatch"):
            costs.show(f"{_word(peer)}_{rate}_vs_{_word(plain)}", rate, peer, plain)


def _word(name: str) -> str:
    return name.replace("-", "_")
