"""P4: two thousand jobs that sleep for 50 ms, a hundred at a time: a second at best."""

from statistics import median

from benchmarks.bench import Bench
from benchmarks.drain import drain
from benchmarks.figure import Figure
from benchmarks.inside.tally import NAP
from benchmarks.measures.redis import SERVED
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS, Subject, Variant

__all__ = ["crowd"]

_MARKS = {"async": (1.2, 1.1), "threads": (1.4, 1.2)}


def crowd(bench: Bench) -> None:
    """Umbel in each round, the peers beside it."""
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(bench.plan.rounds):
        for name in SERVED:
            subject = SUBJECTS[name]
            if name == "umbel-redis" or number < bench.plan.peer_rounds:
                for variant in subject.crowds:
                    bench.say(f"crowd, round {number + 1} of {bench.plan.rounds}: {name} ({variant.name})")
                    _round(bench, subject, variant, found.setdefault((name, variant.name), []))
    for (name, variant_name), seconds in found.items():
        _show(bench, name, variant_name, seconds)


def _round(bench: Bench, subject: Subject, variant: Variant, found: list[float]) -> None:
    if not bench.available(subject):
        return
    try:
        with bench.site(subject) as here:
            here.client("naps", jobs=bench.plan.crowd, how=variant.name)
            outcome = drain(here, variant, bench.plan.crowd)
    except Broken as broken:
        bench.lose(subject, str(broken))
        return
    # The first job was done a nap after it had begun.
    seconds = outcome["from_first_seconds"] + NAP
    bench.sample("crowd", f"{subject.name} {variant.name}", outcome | {"seconds": seconds})
    found.append(seconds)


def _show(bench: Bench, name: str, variant: str, seconds: list[float]) -> None:
    value, note = median(seconds) if seconds else None, bench.missing.get(name, "not measured")
    label = f"seconds_for_{bench.plan.crowd}_jobs_of_50_ms"
    if name == "umbel-redis":
        first, goal = _MARKS[variant]
        bench.show(Figure("P4", f"{label}_{variant}", value, first, goal, True, note))
    else:
        word = name.replace("-", "_")
        bench.show(Figure("P4", f"{label}_{word}", value, lower_is_better=True, note=note))
