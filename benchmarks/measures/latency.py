"""P3: from the call of ``delay`` to the first line of the job, worker idle, one job at a time."""

from statistics import median

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.site import Broken, site
from benchmarks.subjects import SUBJECTS, Subject, Variant

__all__ = ["latency", "percentile"]

_NAMES = ("umbel", "huey-sqlite-nofsync")


def latency(bench: Bench) -> None:
    """Interleave Umbel and Huey; the figure is the median over the rounds of each round's percentile."""
    found: dict[str, list[list[float]]] = {name: [] for name in _NAMES}
    for number in range(bench.plan.rounds):
        for name in _NAMES:
            bench.say(f"latency, round {number + 1} of {bench.plan.rounds}: {name}")
            _round(bench, SUBJECTS[name], found[name])
    for name, rounds in found.items():
        _show(bench, name, rounds)


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def idle_latency(bench: Bench, subject: Subject, variant: Variant, jobs: int) -> list[float]:
    """Milliseconds of each of ``jobs`` jobs through an idle worker that has run one job before."""
    with site(subject, bench.environments.python(subject)) as here, here.worker(variant):
        here.client("latency", jobs=5)
        here.forget()
        return [seconds * 1000 for seconds in here.client("latency", jobs=jobs)["seconds"]]


def _round(bench: Bench, subject: Subject, rounds: list[list[float]]) -> None:
    if not bench.available(subject):
        return
    try:
        values = idle_latency(bench, subject, subject.variants[0], bench.plan.latency)
    except Broken as broken:
        bench.lose(subject, str(broken))
        return
    bench.sample("latency_ms", subject.name, {"milliseconds": values})
    rounds.append(values)


def _show(bench: Bench, name: str, rounds: list[list[float]]) -> None:
    note = bench.missing.get(name, "not measured")
    for share, label in ((0.5, "p50"), (0.99, "p99")):
        value = median(percentile(values, share) for values in rounds) if rounds else None
        if name == "umbel":
            first, goal = (4.0, 1.5) if label == "p50" else (None, None)
            bench.show(Figure("P3", f"embedded_latency_{label}_ms", value, first, goal, True, note))
        else:
            bench.show(Figure("P3", f"latency_{label}_ms_huey_sqlite", value, lower_is_better=True, note=note))
