"""Umbel on its embedded engine and on Redis, with its defaults."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.subjects.subject import Subject, Variant

__all__ = ["DURABLE", "ON_REDIS", "UMBEL"]


class _Umbel(Subject):
    module = "benchmarks.inside.umbel_jobs"
    variants = (Variant("one process"), Variant("two processes", processes=2))

    def __init__(self, name: str, environment: Mapping[str, str], less: str = "", *, on_redis: bool = False) -> None:
        self.name = name
        self.on_redis = on_redis
        self.environment = environment
        self.less = less

    def command(self, python: Path, variant: Variant) -> list[str]:
        begin = [str(python), "-m", "umbel", "worker", "-A", "benchmarks.inside.umbel_jobs:jobs"]
        return [*begin, "--processes", str(variant.processes), "--loglevel", "WARNING", *variant.arguments]


UMBEL = _Umbel("umbel", {}, "survives the death of any process, not a power loss (synchronous=NORMAL)")
DURABLE = _Umbel("umbel-full", {"UMBEL_DURABILITY": "full"})
ON_REDIS = _Umbel("umbel-redis", {}, on_redis=True)
