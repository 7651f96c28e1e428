"""P5: dispatch and drain on the embedded engine beside Huey's SQLite and Celery's own serverless transports."""

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.rounds import Rounds, quickest
from benchmarks.subjects import SUBJECTS, Variant

__all__ = ["embedded"]

_HUEY = ("huey-sqlite", "huey-sqlite-nofsync")
_CELERY = ("celery-sqlalchemy", "celery-filesystem")
_PAIR = "umbel-pair"


def embedded(bench: Bench) -> None:
    """Interleave the subjects round by round, then show each round's ratios as their median."""
    rounds = Rounds(bench, _choose(bench))
    rounds.run("embedded")
    rounds.show({"drain": "P5", "dispatch": "P5", "bulk": "P5"})
    for measure, first, goal in (("drain", 3.0, 7.0), ("dispatch", 1.0, 2.0)):
        _beside(rounds, measure, measure, "umbel", "huey-sqlite", "huey_sqlite", first, goal)
        _beside(rounds, measure, measure, "umbel", "huey-sqlite-nofsync", "huey_sqlite_without_fsync")
        _beside(rounds, measure, f"full_{measure}", "umbel-full", "huey-sqlite", "huey_sqlite")
        _beside(rounds, measure, f"full_{measure}", "umbel-full", "umbel", "normal")
        for name in _CELERY:
            _beside(rounds, measure, measure, "umbel", name, name.replace("-", "_"))
    value = rounds.ratio("drain", _PAIR, "umbel")
    bench.show(Figure("P5", "embedded_two_processes_vs_one", value, 1, 1, note=rounds.why("umbel")))


def _choose(bench: Bench) -> dict[str, Variant]:
    one, two = SUBJECTS["umbel"].variants
    chosen: dict[str, Variant | None] = {"umbel": one}
    chosen |= {name: quickest(bench, SUBJECTS[name]) for name in _HUEY}
    chosen |= {_PAIR: two, "umbel-full": one}
    chosen |= {name: quickest(bench, SUBJECTS[name]) for name in _CELERY}
    return {name: variant for name, variant in chosen.items() if variant}


def _beside(
    rounds: Rounds,
    measure: str,
    name: str,
    ours: str,
    theirs: str,
    label: str,
    first: float | None = None,
    goal: float | None = None,
) -> None:
    value = rounds.ratio(measure, ours, theirs)
    note = rounds.why(theirs, ours)
    rounds.bench.show(Figure("P5", f"embedded_{name}_vs_{label}", value, first, goal, note=note))
