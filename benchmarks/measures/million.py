"""P7: the same ten thousand jobs drained alone, with a million waiting behind them, and with a million delayed."""

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import Any

from benchmarks.bench import Bench, drain
from benchmarks.figure import Figure, ratio
from benchmarks.site import Broken, Site, site
from benchmarks.subjects import SUBJECTS

__all__ = ["million"]

_FAR = 30 * 86_400.0


def million(bench: Bench) -> None:
    """Fill the two large stores once, then interleave the three drains."""
    try:
        _measure(bench)
    except Broken as broken:
        bench.fail(str(broken))


def _measure(bench: Bench) -> None:
    plan = bench.plan
    bench.say(f"million: {plan.many:,} jobs waiting and {plan.many:,} delayed, {plan.few:,} drained at a time")
    with ExitStack() as stack:
        waiting, delayed = (stack.enter_context(_umbel_site(bench)) for _ in range(2))
        _fill(bench, waiting, "waiting", None)
        _fill(bench, delayed, "delayed", _FAR)
        cases: dict[str, Callable[[], dict[str, Any]]] = {
            "alone": lambda: _alone(bench),
            "waiting": lambda: _few(bench, waiting),
            "delayed": lambda: _few(bench, delayed),
        }
        for number in range(plan.million_rounds):
            for name, case in cases.items():
                bench.say(f"million, round {number + 1} of {plan.million_rounds}: {name}")
                bench.sample("million", name, case())
    _show(bench)


def _umbel_site(bench: Bench) -> Any:
    subject = SUBJECTS["umbel"]
    return site(subject, bench.environments.python(subject))


def _fill(bench: Bench, here: Site, name: str, delay: float | None) -> None:
    outcome = here.client("fill", jobs=bench.plan.many, delay=delay)
    size = sum(path.stat().st_size for path in here.directory.glob("umbel.db*")) / 1e6
    bench.sample("million_fill", name, outcome | {"file_mb": size})
    bench.say(f"million: {bench.plan.many:,} {name} enqueued at {outcome['rate']:,.0f}/s, {size:,.0f} MB")


def _alone(bench: Bench) -> dict[str, Any]:
    with _umbel_site(bench) as here:
        return _few(bench, here)


def _few(bench: Bench, here: Site) -> dict[str, Any]:
    """Add what is drained, so that what waits behind it stays as it was."""
    here.client("fill", jobs=bench.plan.few)
    return drain(here, SUBJECTS["umbel"].variants[0], bench.plan.few, bodies_only=True)


def _show(bench: Bench) -> None:
    rates = {name: [each["rate"] for each in rounds] for name, rounds in bench.raw["million"].items()}
    memory = {name: [max(each["rss_mb"]) for each in rounds] for name, rounds in bench.raw["million"].items()}
    many = "million" if bench.plan.many == 1_000_000 else f"{bench.plan.many}"
    for name in ("waiting", "delayed"):
        value = ratio(rates[name], rates["alone"])
        bench.show(Figure("P7", f"drain_with_{many}_{name}_vs_{bench.plan.few}", value, 0.9, 0.9))
        more = [a - b for a, b in zip(memory[name], memory["alone"], strict=True)]
        bench.show(Figure("P7", f"worker_rss_mb_more_with_{many}_{name}", median(more), 15, 15, True))
    bench.show(Figure("P7", f"enqueue_many_per_second_{many}", bench.raw["million_fill"]["waiting"][0]["rate"]))
