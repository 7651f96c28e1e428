"""The measures by name, in the order of a run; each takes a :class:`benchmarks.bench.Bench` and shows its figures."""

from collections.abc import Callable

from benchmarks.bench import Bench
from benchmarks.measures.crowd import crowd
from benchmarks.measures.declarations import declarations
from benchmarks.measures.embedded import embedded
from benchmarks.measures.history import history
from benchmarks.measures.latency import latency
from benchmarks.measures.million import million
from benchmarks.measures.pages import pages
from benchmarks.measures.redis import on_redis
from benchmarks.measures.worker import worker

__all__ = ["MEASURES"]

MEASURES: dict[str, Callable[[Bench], None]] = {
    "redis": on_redis,
    "latency": latency,
    "crowd": crowd,
    "embedded": embedded,
    "worker": worker,
    "million": million,
    "declarations": declarations,
    "history": history,
    "pages": pages,
}
