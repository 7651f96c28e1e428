"""P7: the same ten thousand jobs drained alone, with a million waiting behind them, and with a million delayed."""

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.drain import drain
from benchmarks.figure import Figure, ratio
from benchmarks.site import Broken, Site
from benchmarks.subjects import SUBJECTS, Subject

__all__ = ["million"]

_FAR = 30 * 86_400.0


def million(bench: Bench) -> None:
    """In the file, then on Redis."""
    for name in ("umbel", "umbel-redis"):
        subject = SUBJECTS[name]
        if not bench.available(subject):
            continue
        try:
            _measure(bench, subject)
        except Broken as broken:
            bench.fail(str(broken))


def _measure(bench: Bench, subject: Subject) -> None:
    """Fill the two large stores once, then interleave the three drains."""
    plan = bench.plan
    found: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        waiting, delayed = (stack.enter_context(bench.site(subject)) for _ in range(2))
        enqueued = _fill(bench, waiting, "waiting", None)
        _fill(bench, delayed, "delayed", _FAR)
        cases: dict[str, Callable[[], dict[str, Any]]] = {
            "alone": lambda: _alone(bench, subject),
            "waiting": lambda: _few(bench, waiting),
            "delayed": lambda: _few(bench, delayed),
        }
        for number in range(plan.million_rounds):
            for name, case in cases.items():
                bench.say(f"million, {subject.name}, round {number + 1} of {plan.million_rounds}: {name}")
                found.setdefault(name, []).append(bench.sample("million", f"{subject.name} {name}", case()))
    _show(bench, "redis_" if subject.server else "", found, enqueued)


def _fill(bench: Bench, here: Site, name: str, delay: float | None) -> float:
    outcome = here.client("fill", jobs=bench.plan.many, delay=delay)
    size = sum(path.stat().st_size for path in here.directory.glob("umbel.db*")) / 1e6
    bench.sample("million_fill", f"{here.subject.name} {name}", outcome | {"file_mb": size})
    bench.say(f"million, {here.subject.name}: {bench.plan.many:,} {name} enqueued at {outcome['rate']:,.0f}/s")
    return float(outcome["rate"])


def _alone(bench: Bench, subject: Subject) -> dict[str, Any]:
    with bench.site(subject) as here:
        return _few(bench, here)


def _few(bench: Bench, here: Site) -> dict[str, Any]:
    """Add what is drained, so that what waits behind it stays as it was."""
    here.client("fill", jobs=bench.plan.few)
    return drain(here, here.subject.variants[0], bench.plan.few, more_waits=True)


def _show(bench: Bench, prefix: str, found: dict[str, list[dict[str, Any]]], enqueued: float) -> None:
    rates = {name: [each["rate"] for each in rounds] for name, rounds in found.items()}
    memory = {name: [max(each["rss_mb"]) for each in rounds] for name, rounds in found.items()}
    many = "million" if bench.plan.many == 1_000_000 else f"{bench.plan.many}"
    for name in ("waiting", "delayed"):
        value = ratio(rates[name], rates["alone"])
        bench.show(Figure("P7", f"{prefix}drain_with_{many}_{name}_vs_{bench.plan.few}", value, 0.9, 0.9))
        more = [a - b for a, b in zip(memory[name], memory["alone"], strict=True)]
        bench.show(Figure("P7", f"{prefix}worker_rss_mb_more_with_{many}_{name}", median(more), 15, 15, True))
    bench.show(Figure("P7", f"{prefix}enqueue_many_per_second_{many}", enqueued))
