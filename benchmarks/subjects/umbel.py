"""Umbel on its embedded engine and on Redis, with its defaults."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.subjects.subject import Subject, Variant

__all__ = ["DURABLE", "ON_REDIS", "UMBEL"]


class _Umbel(Subject):
    module = "benchmarks.inside.umbel_jobs"
    ours = True
    bulk = True
    variants = (Variant("one process"), Variant("two processes", processes=2))
    crowds = (Variant("async", ("-c", "100")), Variant("threads", ("-c", "100")))

    def __init__(
        self, name: str, title: str, environment: Mapping[str, str], less: str = "", *, server: str = ""
    ) -> None:
        self.name = name
        self.title = title
        self.server = server
        self.environment = environment
        self.less = less
        self.pace, self.dispatch_pace = (16_000, 7_000) if server else (12_000, 15_000)

    def command(self, program: Path, variant: Variant) -> list[str]:
        begin = [str(program), "-m", "umbel", "worker", "-A", "benchmarks.inside.umbel_jobs:jobs"]
        return [*begin, "--processes", str(variant.processes), "--loglevel", "WARNING", *variant.arguments]


UMBEL = _Umbel(
    "umbel", "Umbel, one file", {}, "survives the death of any process, not a power loss (synchronous=NORMAL)"
)
DURABLE = _Umbel("umbel-full", "Umbel, one file, every commit synced", {"UMBEL_DURABILITY": "full"})
ON_REDIS = _Umbel("umbel-redis", "Umbel", {}, server="redis")
