"""The steps that measures are made of, and what they leave behind."""

import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.drain import drain
from benchmarks.environments import Environments, Missing
from benchmarks.figure import Figure
from benchmarks.meter import metered
from benchmarks.plan import Plan
from benchmarks.site import Site, reachable, site
from benchmarks.subjects import Subject, Variant

__all__ = ["Bench"]


@dataclass(slots=True)
class Bench:
    """One run of the benchmark: its plan, its figures and every raw sample."""

    plan: Plan
    environments: Environments = field(default_factory=Environments)
    figures: list[Figure] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        print(text, file=sys.stderr, flush=True)

    def show(self, figure: Figure) -> None:
        """Keep a figure and print its line at once."""
        self.figures.append(figure)
        print(figure.line(), flush=True)

    def sample(self, measure: str, subject: str, outcome: dict[str, Any]) -> dict[str, Any]:
        """Keep one raw outcome."""
        self.raw.setdefault(measure, {}).setdefault(subject, []).append(outcome)
        return outcome

    def available(self, subject: Subject) -> bool:
        """Whether the subject can be measured here; the reason is kept otherwise."""
        if subject.name in self.missing:
            return False
        try:
            self.environments.program(subject)
            reachable(subject.server)
        except Missing as missing:
            self._miss(subject, str(missing))
            return False
        return True

    def lose(self, subject: Subject, reason: str) -> None:
        """Go on without a peer, and say so; Umbel is tried again in the next round, but the run has failed."""
        if subject.ours:
            self.fail(f"{subject.name}: {reason}")
        else:
            self._miss(subject, reason)

    def fail(self, reason: str) -> None:
        """Something of Umbel's own broke: the run goes on and ends with exit code 1."""
        self.broken.append(reason)
        self.say(f"broken: {reason}")

    def _miss(self, subject: Subject, reason: str) -> None:
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        self.missing[subject.name] = lines[-1][:160] if lines else "unknown"
        self.say(f"{subject.name} is missing: {reason}")

    def client(self, subject: Subject, verb: str, **options: Any) -> dict[str, Any]:
        """One client verb in a fresh place."""
        with self.site(subject) as here:
            with metered(subject) as meter:
                outcome = here.client(verb, **options)
            return outcome | meter.per_job(outcome.get("calls", 0))

    def site(self, subject: Subject, keep: bool = False) -> AbstractContextManager[Site]:
        """A fresh place for a subject."""
        return site(subject, self.environments.program(subject), keep)

    def drain(self, subject: Subject, variant: Variant, jobs: int, keep: bool = False) -> dict[str, Any]:
        """Fill a fresh store, then start a worker and watch it to the last stored result."""
        with self.site(subject, keep) as here:
            here.client("fill", jobs=jobs)
            return drain(here, variant, jobs)
