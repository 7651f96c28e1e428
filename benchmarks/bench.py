"""The steps that measures are made of, and what they leave behind."""

import sys
from dataclasses import dataclass, field
from typing import Any

from benchmarks.environments import Environments, Missing
from benchmarks.figure import Figure
from benchmarks.plan import Plan
from benchmarks.site import Broken, Site, site
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
            self.environments.python(subject)
        except Missing as missing:
            self.lose(subject, f"not installed: {missing}")
            return False
        return True

    def lose(self, subject: Subject, reason: str) -> None:
        """Go on without a subject, and say so; without Umbel itself the run has failed."""
        lines = [line.strip() for line in reason.splitlines() if line.strip()]
        self.missing[subject.name] = lines[-1][:160] if lines else "unknown"
        self.say(f"{subject.name} is missing: {reason}")
        if subject.requirements is None:
            self.broken.append(f"{subject.name}: {reason}")

    def fail(self, reason: str) -> None:
        """Something of Umbel's own broke: the run goes on and ends with exit code 1."""
        self.broken.append(reason)
        self.say(f"broken: {reason}")

    def client(self, subject: Subject, verb: str, **options: Any) -> dict[str, Any]:
        """One client verb in a fresh directory."""
        with site(subject, self.environments.python(subject)) as here:
            return here.client(verb, **options)

    def drain(self, subject: Subject, variant: Variant, jobs: int, keep: bool = False) -> dict[str, Any]:
        """Fill a fresh store, then start a worker and watch it to the last stored result."""
        with site(subject, self.environments.python(subject), keep) as here:
            here.client("fill", jobs=jobs)
            return drain(here, variant, jobs)


def drain(here: Site, variant: Variant, jobs: int, bodies_only: bool = False) -> dict[str, Any]:
    """Drain what waits in ``here``; the rate runs from when every process works to the last result stored."""
    here.forget()
    with here.watching(jobs, variant, bodies_only=bodies_only) as watch, here.worker(variant) as worker:
        booted = [0.0]
        seen = watch.outcome(lambda: booted.append(worker.cpu_seconds()))
        memory = [process.memory_info().rss / 1e6 for process in worker.family()]
        cpu = worker.cpu_seconds() - booted[-1]
    at, already = seen["active"]
    if seen["jobs"] <= already:
        raise Broken(f"{here.subject.name}: all {jobs} jobs were done before they could be timed; use more jobs")
    end = seen["last"] if bodies_only else seen["settled"]
    return {
        "jobs": seen["jobs"],
        "rate": (seen["jobs"] - already) / (end - at),
        "total_seconds": seen["settled"] - worker.begun,
        "to_first_seconds": seen["first"] - worker.begun,
        "bodies_seconds": seen["last"] - seen["first"],
        "settle_seconds": seen["settled"] - seen["last"],
        "processes": seen["processes"],
        "boot_cpu_seconds": booted[-1],
        "cpu_us_per_job": cpu / (seen["jobs"] - already) * 1e6,
        "rss_mb": memory,
    }
