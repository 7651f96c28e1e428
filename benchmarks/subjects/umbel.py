"""Umbel on its embedded engine and on Redis, with its defaults, but for the history."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.inside.declarations import DECLARE, KEYS, Declaration
from benchmarks.subjects.subject import Subject, Variant

__all__ = ["DURABLE", "ON_REDIS", "RECORDED", "UMBEL", "declaring"]


_HISTORY = {"UMBEL_HISTORY": "1", "UMBEL_DATA_DIR": "history"}


class _Umbel(Subject):
    module = "benchmarks.inside.umbel_jobs"
    ours = True
    bulk = True
    variants = (Variant("one process"), Variant("two processes", processes=2))
    crowds = (Variant("async", ("-c", "100")), Variant("threads", ("-c", "100")))

    def __init__(
        self, name: str, title: str, environment: Mapping[str, str], less: str = "", *, server: str = "", pace: int = 0
    ) -> None:
        self.name = name
        self.title = title
        self.server = server
        # What it costs to record everything is a measure of its own.
        self.environment = {"UMBEL_HISTORY": "0", **environment}
        self.less = less
        self.pace, self.dispatch_pace = (16_000, 7_000) if server else (12_000, 15_000)
        self.pace = pace or self.pace

    def command(self, program: Path, variant: Variant) -> list[str]:
        begin = [str(program), "-m", "umbel", "worker", "-A", "benchmarks.inside.umbel_jobs:jobs"]
        return [*begin, "--processes", str(variant.processes), "--loglevel", "WARNING", *variant.arguments]


UMBEL = _Umbel(
    "umbel", "Umbel, one file", {}, "survives the death of any process, not a power loss (synchronous=NORMAL)"
)
DURABLE = _Umbel("umbel-full", "Umbel, one file, every commit synced", {"UMBEL_DURABILITY": "full"})
ON_REDIS = _Umbel("umbel-redis", "Umbel", {}, server="redis")


#: With everything recorded, by where its messages are.
RECORDED = {
    "embedded": _Umbel("umbel-recorded", "Umbel, one file, recorded", _HISTORY),
    "redis": _Umbel("umbel-redis-recorded", "Umbel, recorded", _HISTORY, server="redis"),
}


def declaring(name: str, declaration: Declaration, server: str) -> Subject:
    """Umbel with a no-op that declares something, in the file or on a server."""
    place = "redis" if server else "embedded"
    environment = {DECLARE: name, **KEYS}
    return _Umbel(f"umbel-{place}-{name}", f"Umbel with {name}", environment, server=server, pace=declaration.pace)
