"""P1, P2, P3 on Redis: Umbel beside plain Celery's prefork, one server, round by round."""

from statistics import median

from benchmarks import redis_server
from benchmarks.bench import Bench
from benchmarks.figure import Figure, ratio
from benchmarks.measures.latency import idle_latency, percentile
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS

__all__ = ["on_redis"]

_UMBEL, _CELERY = "umbel-redis", "celery-redis"


def on_redis(bench: Bench) -> None:
    """Interleave the two, then show each round's ratios as their median."""
    try:
        redis_server.url()
    except redis_server.NoRedis as missing:
        for name in (_UMBEL, _CELERY):
            bench.missing[name] = str(missing)
    rates: dict[str, list[float]] = {}
    late: list[list[float]] = []
    for number in range(bench.plan.rounds):
        bench.say(f"redis, round {number + 1} of {bench.plan.rounds}")
        try:
            _round(bench, rates, late)
        except Broken as broken:
            bench.lose(SUBJECTS[_UMBEL], str(broken))
    _show(bench, rates, late)


def _round(bench: Bench, rates: dict[str, list[float]], late: list[list[float]]) -> None:
    umbel, celery = SUBJECTS[_UMBEL], SUBJECTS[_CELERY]
    one, two = umbel.variants
    if not (bench.available(umbel) and bench.available(celery)):
        return
    # What takes a second for the one must not be over in a tenth of it for the other.
    found = {
        "drain": bench.drain(umbel, one, bench.plan.drain * 2),
        "celery drain": bench.drain(celery, celery.variants[0], bench.plan.celery_drain),
        "drain of two": bench.drain(umbel, two, bench.plan.drain * 3),
        "dispatch": bench.client(umbel, "dispatch", jobs=bench.plan.dispatch),
        "celery dispatch": bench.client(celery, "dispatch", jobs=bench.plan.celery_dispatch),
        "bulk": bench.client(umbel, "fill", jobs=bench.plan.bulk),
    }
    for name, outcome in found.items():
        bench.sample("redis", name, outcome)
        rates.setdefault(name, []).append(outcome["rate"])
    late.append(idle_latency(bench, umbel, one, bench.plan.latency))


def _show(bench: Bench, rates: dict[str, list[float]], late: list[list[float]]) -> None:
    note = bench.missing.get(_UMBEL, "not measured")

    def ratio_of(name: str, other: str) -> float | None:
        return ratio(rates.get(name, []), rates.get(other, []))

    for name in ("drain", "celery drain", "dispatch", "celery dispatch"):
        code = "P1" if "drain" in name else "P2"
        bench.show(Figure(code, f"redis_{name.replace(' ', '_')}_per_second", _middle(rates.get(name)), note=note))
    bench.show(Figure("P1", "drain_vs_celery_prefork", ratio_of("drain", "celery drain"), 10, 24, note=note))
    bench.show(Figure("P1", "two_processes_vs_one", ratio_of("drain of two", "drain"), 1.5, 1.7, note=note))
    bench.show(Figure("P2", "dispatch_vs_celery", ratio_of("dispatch", "celery dispatch"), 3, note=note))
    bench.show(Figure("P2", "redis_enqueue_many_per_second", _middle(rates.get("bulk")), 50_000, 100_000, note=note))
    for share, label, first, goal in ((0.5, "p50", 1.5, 0.8), (0.99, "p99", 4.0, 2.0)):
        value = _middle([percentile(values, share) for values in late])
        bench.show(Figure("P3", f"redis_latency_{label}_ms", value, first, goal, True, note))


def _middle(values: list[float] | None) -> float | None:
    return median(values) if values else None
