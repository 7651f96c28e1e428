"""Interleaved rounds of drain, dispatch and bulk, and the ratios within them."""

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figure import Figure, ratio
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS, Subject, Variant

__all__ = ["Rounds", "quickest"]


@dataclass(slots=True)
class Rounds:
    """What is measured in each round, by a name that is a subject's or, for two processes of it, ``NAME-pair``."""

    bench: Bench
    chosen: dict[str, Variant]
    rates: dict[str, dict[str, list[float]]] = field(default_factory=lambda: {"drain": {}, "dispatch": {}, "bulk": {}})

    def run(self, title: str) -> None:
        """Measure everything, round by round."""
        for number in range(self.bench.plan.rounds):
            for name, variant in self.chosen.items():
                self.bench.say(f"{title}, round {number + 1} of {self.bench.plan.rounds}: {name} ({variant.name})")
                self._measure(name, variant)

    def middle(self, measure: str, name: str) -> float | None:
        """The median rate."""
        values = self.rates[measure].get(name)
        return median(values) if values else None

    def ratio(self, measure: str, ours: str, theirs: str) -> float | None:
        """The median of the rounds' ratios."""
        return ratio(self.rates[measure].get(ours, []), self.rates[measure].get(theirs, []))

    def why(self, *names: str) -> str:
        """Why there is no figure."""
        found = [self.bench.missing[_subject(name).name] for name in names if _subject(name).name in self.bench.missing]
        return found[0] if found else "not measured"

    def show(self, codes: dict[str, str]) -> None:
        """The median rates, for information."""
        for measure, by_name in self.rates.items():
            label = "enqueue_many" if measure == "bulk" else measure
            for name in by_name:
                word = name.replace("-", "_")
                self.bench.show(Figure(codes[measure], f"{label}_per_second_{word}", self.middle(measure, name)))

    def _measure(self, name: str, variant: Variant) -> None:
        subject, plan = _subject(name), self.bench.plan
        if subject.name in self.bench.missing:
            return
        try:
            jobs = round(subject.pace * plan.drain_seconds * variant.processes)
            self._keep("drain", name, self.bench.drain(subject, variant, jobs))
            if name != subject.name:
                return
            if subject.sends:
                jobs = round(subject.dispatch_pace * plan.dispatch_seconds)
                self._keep("dispatch", name, self.bench.client(subject, "dispatch", jobs=jobs))
            if subject.bulk:
                self._keep("bulk", name, self.bench.client(subject, "fill", jobs=self._bulk(subject)))
        except Broken as broken:
            self.bench.lose(subject, str(broken))

    def _bulk(self, subject: Subject) -> int:
        """As many as are worth it: a queue of a few hundred jobs a second enqueues ten thousand slowly too."""
        return min(self.bench.plan.bulk, subject.pace * 10)

    def _keep(self, measure: str, name: str, outcome: dict[str, Any]) -> None:
        self.bench.sample(measure, name, outcome)
        self.rates[measure].setdefault(name, []).append(outcome["rate"])


def quickest(bench: Bench, subject: Subject) -> Variant | None:
    """The variant that drains fastest in a short trial; None when the subject cannot be measured."""
    if not bench.available(subject):
        return None
    best = subject.variants[0] if len(subject.variants) == 1 else _tried(bench, subject)
    if best is None:
        bench.lose(subject, "no variant of its worker ran")
        return None
    bench.raw.setdefault("chosen", {})[subject.name] = best.name
    return best


def _tried(bench: Bench, subject: Subject) -> Variant | None:
    best: tuple[float, Variant] | None = None
    for variant in subject.variants * bench.plan.tries:
        try:
            outcome = bench.drain(subject, variant, round(subject.pace * bench.plan.trial_seconds))
        except Broken as broken:
            bench.say(f"{subject.name} ({variant.name}) could not be tried: {broken}")
            continue
        bench.sample("trial", f"{subject.name} {variant.name}", outcome)
        if best is None or outcome["rate"] > best[0]:
            best = (outcome["rate"], variant)
    if best is None:
        return None
    bench.say(f"{subject.name} is quickest with {best[1].name}")
    return best[1]


def _subject(name: str) -> Subject:
    return SUBJECTS[name.removesuffix("-pair")]
