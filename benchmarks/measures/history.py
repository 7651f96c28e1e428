"""P8: what it costs that every job is recorded: a drain with a recorder beside it, and one without.

What was dispatched is in the log already when the worker starts, so that the recorder has all of it to do while the
jobs run. It gives way to them: what it has not written by the end it writes afterwards, and that is timed as well.
These drains are long: what it costs to start a recorder is not what it costs to record. There are more rounds than of
other ratios, each in the other order than the one before: in single rounds the same code shows 0.83 to 1.21.
"""

from benchmarks.bench import Bench
from benchmarks.drain import drain
from benchmarks.figure import Figure, ratio
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS, Subject
from benchmarks.subjects.umbel import RECORDED

__all__ = ["history"]

_LONGER = 4
_PLACES = {"embedded": "umbel", "redis": "umbel-redis"}


def history(bench: Bench) -> None:
    """Interleave both, in the file and on Redis."""
    rates: dict[str, list[float]] = {}
    rounds = bench.plan.recorded_rounds
    for number in range(rounds):
        for place, name in _PLACES.items():
            for subject in (SUBJECTS[name], RECORDED[place])[:: -1 if number % 2 else 1]:
                if bench.available(subject):
                    bench.say(f"history, round {number + 1} of {rounds}: {subject.name}")
                    _measure(bench, subject, rates)
    for place, name in _PLACES.items():
        recorded = RECORDED[place].name
        value = ratio(rates.get(recorded, []), rates.get(name, []))
        bench.show(Figure("P8", f"{place}_drain_while_recorded", value, 0.9, 0.95))
        written = ratio(rates.get(f"{recorded} written", []), [1.0] * rounds)
        bench.show(Figure("P8", f"{place}_jobs_recorded_per_second", written))


def _measure(bench: Bench, subject: Subject, rates: dict[str, list[float]]) -> None:
    jobs = round(_LONGER * subject.pace * bench.plan.drain_seconds)
    is_recorded = subject.name not in SUBJECTS
    try:
        with bench.site(subject) as here:
            here.client("fill", jobs=jobs)
            outcome = drain(here, subject.variants[0], jobs, then="recorded" if is_recorded else "")
    except Broken as broken:
        bench.lose(subject, str(broken))
        return
    bench.sample("history", subject.name, outcome)
    rates.setdefault(subject.name, []).append(outcome["rate"])
    if is_recorded:
        rates.setdefault(f"{subject.name} written", []).append(jobs / outcome["then_seconds"])
