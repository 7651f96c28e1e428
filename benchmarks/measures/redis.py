"""P1 and P2: drain and dispatch on Redis beside the peers, one server, round by round."""

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.rounds import Rounds, quickest
from benchmarks.subjects import SUBJECTS, Variant

__all__ = ["SERVED", "on_redis"]

_UMBEL, _PAIR, _CELERY, _FLOOR = "umbel-redis", "umbel-redis-pair", "celery-prefork", "floor"

#: Everything that needs a server.
SERVED = tuple(name for name, subject in SUBJECTS.items() if subject.server)


def on_redis(bench: Bench) -> None:
    """Interleave all, then show each round's ratios as their median."""
    rounds = Rounds(bench, _choose(bench))
    rounds.run("redis")
    rounds.show({"drain": "P1", "dispatch": "P2", "bulk": "P2"})
    _show_drain(bench, rounds)
    _show_dispatch(bench, rounds)


def _choose(bench: Bench) -> dict[str, Variant]:
    one, two = SUBJECTS[_UMBEL].variants
    chosen: dict[str, Variant | None] = {_UMBEL: one, _CELERY: quickest(bench, SUBJECTS[_CELERY]), _PAIR: two}
    chosen |= {name: quickest(bench, SUBJECTS[name]) for name in SERVED if name not in chosen}
    return {name: variant for name, variant in chosen.items() if variant}


def _show_drain(bench: Bench, rounds: Rounds) -> None:
    def show(label: str, theirs: str, first: float | None, goal: float | None, ours: str = _UMBEL) -> None:
        value = rounds.ratio("drain", ours, theirs)
        of = theirs if "best" in label else ""
        bench.show(Figure("P1", label, value, first, goal, note=rounds.why(theirs, ours), of=of))

    show("drain_vs_celery_prefork", _CELERY, 10, 24)
    show("drain_vs_best_python_peer", _best_python_peer(rounds), 4, None)
    show("drain_vs_bullmq", "bullmq", None, 1.1)
    show("drain_vs_sidekiq", "sidekiq", None, None)
    show("drain_vs_floor", _FLOOR, None, 0.35)
    show("two_processes_vs_one", _UMBEL, 1.5, 1.7, _PAIR)


def _best_python_peer(rounds: Rounds) -> str:
    ours = (_UMBEL, _PAIR, _FLOOR)
    peers = [n for n in rounds.rates["drain"] if n not in ours and SUBJECTS[n].language == "python"]
    return max(peers, key=lambda name: rounds.middle("drain", name) or 0.0, default=_CELERY)


def _show_dispatch(bench: Bench, rounds: Rounds) -> None:
    def show(label: str, measure: str, theirs: str, first: float | None, goal: float | None) -> None:
        value = rounds.ratio(measure, _UMBEL, theirs)
        bench.show(Figure("P2", label, value, first, goal, note=rounds.why(theirs, _UMBEL)))

    show("dispatch_vs_celery", "dispatch", _CELERY, 3, None)
    show("dispatch_vs_huey_redis", "dispatch", "huey-redis", None, 1)
    bulk = rounds.middle("bulk", _UMBEL)
    bench.show(Figure("P2", "redis_enqueue_many_per_second", bulk, 50_000, 100_000, note=rounds.why(_UMBEL)))
    show("enqueue_many_vs_bullmq", "bulk", "bullmq", None, 4)
