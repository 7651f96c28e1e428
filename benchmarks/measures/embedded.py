"""P5: dispatch and drain on the embedded engine beside Huey's SQLite and Celery's own serverless transports."""

from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figure import Figure, ratio
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS, Subject, Variant

__all__ = ["embedded", "quickest"]

_HUEY = ("huey-sqlite", "huey-sqlite-nofsync")
_CELERY = ("celery-sqlalchemy", "celery-filesystem")
_PAIR = "umbel-pair"
_TRIES = 2


def embedded(bench: Bench) -> None:
    """Interleave the subjects round by round, then show each round's ratios as their median."""
    chosen = _choose(bench)
    rates: dict[str, dict[str, list[float]]] = {"drain": {}, "dispatch": {}, "bulk": {}}
    for number in range(bench.plan.rounds):
        for name, variant in chosen.items():
            bench.say(f"embedded, round {number + 1} of {bench.plan.rounds}: {name} ({variant.name})")
            _round(bench, name, variant, rates)
    _show_rates(bench, rates)
    _show_ratios(bench, rates)


def quickest(bench: Bench, subject: Subject) -> Variant | None:
    """The variant that drains fastest in a short trial; None when the subject cannot be measured."""
    if not bench.available(subject):
        return None
    if len(subject.variants) == 1:
        return subject.variants[0]
    best: tuple[float, Variant] | None = None
    for variant in subject.variants * _TRIES:
        try:
            outcome = bench.drain(subject, variant, _trial_jobs(bench, subject))
        except Broken as broken:
            bench.say(f"{subject.name} ({variant.name}) could not be tried: {broken}")
            continue
        bench.sample("trial", f"{subject.name} {variant.name}", outcome)
        if best is None or outcome["rate"] > best[0]:
            best = (outcome["rate"], variant)
    if best is None:
        bench.lose(subject, "no variant of its worker ran")
        return None
    bench.say(f"{subject.name} is quickest with {best[1].name}")
    bench.raw.setdefault("chosen", {})[subject.name] = best[1].name
    return best[1]


def _choose(bench: Bench) -> dict[str, Variant]:
    one, two = SUBJECTS["umbel"].variants
    chosen = {"umbel": one}
    for name in _HUEY:
        variant = quickest(bench, SUBJECTS[name])
        if variant:
            chosen[name] = variant
    chosen |= {_PAIR: two, "umbel-full": one}
    for name in _CELERY:
        variant = quickest(bench, SUBJECTS[name])
        if variant:
            chosen[name] = variant
    return chosen


def _round(bench: Bench, name: str, variant: Variant, rates: dict[str, dict[str, list[float]]]) -> None:
    subject = SUBJECTS["umbel" if name == _PAIR else name]
    if subject.name in bench.missing:
        return
    try:
        _keep(bench, rates, "drain", name, bench.drain(subject, variant, _drain_jobs(bench, subject)))
        if name != _PAIR:
            _keep(
                bench, rates, "dispatch", name, bench.client(subject, "dispatch", jobs=_dispatch_jobs(bench, subject))
            )
        if name == "umbel":
            _keep(bench, rates, "bulk", name, bench.client(subject, "fill", jobs=bench.plan.bulk))
    except Broken as broken:
        bench.lose(subject, str(broken))


def _keep(
    bench: Bench, rates: dict[str, dict[str, list[float]]], measure: str, name: str, outcome: dict[str, Any]
) -> None:
    bench.sample(measure, name, outcome)
    rates[measure].setdefault(name, []).append(outcome["rate"])


def _show_rates(bench: Bench, rates: dict[str, dict[str, list[float]]]) -> None:
    for measure, by_subject in rates.items():
        for name, values in by_subject.items():
            label = "enqueue_many" if measure == "bulk" else measure
            bench.show(Figure("P5", f"{label}_per_second_{_word(name)}", median(values)))


def _show_ratios(bench: Bench, rates: dict[str, dict[str, list[float]]]) -> None:
    for measure, first, goal in (("drain", 3.0, 7.0), ("dispatch", 1.0, 2.0)):
        _beside(bench, rates[measure], measure, "umbel", "huey-sqlite", "huey_sqlite", first, goal)
        _beside(bench, rates[measure], measure, "umbel", "huey-sqlite-nofsync", "huey_sqlite_without_fsync")
        _beside(bench, rates[measure], f"full_{measure}", "umbel-full", "huey-sqlite", "huey_sqlite")
        _beside(bench, rates[measure], f"full_{measure}", "umbel-full", "umbel", "normal")
        for name in _CELERY:
            _beside(bench, rates[measure], measure, "umbel", name, _word(name))
    drains = rates["drain"]
    value = ratio(drains.get(_PAIR, []), drains.get("umbel", []))
    bench.show(Figure("P5", "embedded_two_processes_vs_one", value, 1, 1, note=_why(bench, "umbel")))


def _beside(
    bench: Bench,
    rates: dict[str, list[float]],
    measure: str,
    ours: str,
    theirs: str,
    label: str,
    first: float | None = None,
    goal: float | None = None,
) -> None:
    value = ratio(rates.get(ours, []), rates.get(theirs, []))
    note = _why(bench, theirs if theirs in bench.missing else ours)
    bench.show(Figure("P5", f"embedded_{measure}_vs_{label}", value, first, goal, note=note))


def _why(bench: Bench, name: str) -> str:
    return bench.missing.get(name, "not measured")


def _word(name: str) -> str:
    return name.replace("-", "_")


def _is_celery(subject: Subject) -> bool:
    return subject.name in _CELERY


def _trial_jobs(bench: Bench, subject: Subject) -> int:
    return bench.plan.celery_drain // 2 if _is_celery(subject) else bench.plan.trial


def _drain_jobs(bench: Bench, subject: Subject) -> int:
    return bench.plan.celery_drain if _is_celery(subject) else bench.plan.drain


def _dispatch_jobs(bench: Bench, subject: Subject) -> int:
    return bench.plan.celery_dispatch if _is_celery(subject) else bench.plan.dispatch
