"""P3: from the call of ``delay`` to the first line of the job, worker idle, one job at a time."""

from dataclasses import dataclass
from statistics import median

from benchmarks.bench import Bench
from benchmarks.figure import Figure
from benchmarks.measures.redis import SERVED
from benchmarks.percentile import percentile
from benchmarks.site import Broken
from benchmarks.subjects import SUBJECTS, Subject, Variant

__all__ = ["idle_latency", "latency"]

_GUEST = "umbel-redis from celery"
_P50, _P99 = (0.5, "p50"), (0.99, "p99")


@dataclass(frozen=True, slots=True)
class _Mark:
    """What a subject's percentile is called, and what it must reach."""

    name: str
    first: float | None = None
    goal: float | None = None


_MARKS = {
    ("umbel", "p50"): _Mark("embedded_latency_p50_ms", 4.0, 1.5),
    ("umbel", "p99"): _Mark("embedded_latency_p99_ms"),
    ("umbel-redis", "p50"): _Mark("redis_latency_p50_ms", 1.5, 0.8),
    ("umbel-redis", "p99"): _Mark("redis_latency_p99_ms", 4.0, 2.0),
    (_GUEST, "p50"): _Mark("redis_latency_of_a_celery_client_p50_ms", 1.5, 0.8),
    (_GUEST, "p99"): _Mark("redis_latency_of_a_celery_client_p99_ms", 4.0, 2.0),
}
_OURS = ("umbel", "umbel-redis", _GUEST, "huey-sqlite-nofsync")
_PEERS = tuple(name for name in SERVED if name != "umbel-redis")


def latency(bench: Bench) -> None:
    """Interleave them; the figure is the median over the rounds of each round's percentile."""
    found: dict[str, list[list[float]]] = {name: [] for name in (*_OURS, *_PEERS)}
    for number in range(bench.plan.rounds):
        for name in _OURS + (_PEERS if number < bench.plan.peer_rounds else ()):
            bench.say(f"latency, round {number + 1} of {bench.plan.rounds}: {name}")
            _round(bench, name, found[name])
    for name, rounds in found.items():
        _show(bench, name, rounds)


def idle_latency(
    bench: Bench, subject: Subject, variant: Variant, jobs: int, client: Subject | None = None
) -> list[float]:
    """Milliseconds of each of ``jobs`` jobs through an idle worker that has run some before.

    They come from ``client``, another library that its worker understands, where that is given.
    """
    with bench.site(subject) as here:
        # Also makes what a worker wants to find, such as tables.
        here.client("fill", jobs=1)
        sender = here.guest(client, bench.environments.program(client)) if client else here
        with here.worker(variant):
            sender.client("latency", jobs=5)
            here.forget()
            return [seconds * 1000 for seconds in sender.client("latency", jobs=jobs)["seconds"]]


def _round(bench: Bench, name: str, rounds: list[list[float]]) -> None:
    subject, client = (
        (SUBJECTS["umbel-redis"], SUBJECTS["celery-prefork"]) if name == _GUEST else (SUBJECTS[name], None)
    )
    if not bench.available(subject) or (client and not bench.available(client)):
        return
    jobs = bench.plan.latency if name in _OURS else bench.plan.peer_latency
    try:
        values = idle_latency(bench, subject, subject.variants[0], jobs, client)
    except Broken as broken:
        bench.lose(subject, str(broken))
        return
    bench.sample("latency_ms", name, {"milliseconds": values})
    rounds.append(values)


def _show(bench: Bench, name: str, rounds: list[list[float]]) -> None:
    note = bench.missing.get("umbel-redis" if name == _GUEST else name, "not measured")
    for share, label in (_P50, _P99):
        value = median(percentile(values, share) for values in rounds) if rounds else None
        mark = _MARKS.get((name, label)) or _Mark(f"latency_{label}_ms_{name.replace('-', '_')}")
        bench.show(Figure("P3", mark.name, value, mark.first, mark.goal, True, note))
