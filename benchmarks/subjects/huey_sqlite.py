"""Huey on SQLite, as it ships and without fsync."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.subjects.subject import HERE, Subject, Variant, script

__all__ = ["AS_SHIPPED", "NO_FSYNC"]

_POLL = ("-d", "0.002", "-m", "0.002")


class _Huey(Subject):
    module = "benchmarks.inside.huey_jobs"
    requirements = HERE / "requirements" / "huey.txt"
    variants = (
        Variant("1 thread", ("-k", "thread", "-w", "1")),
        Variant("4 threads", ("-k", "thread", "-w", "4")),
        Variant("2 processes", ("-k", "process", "-w", "2"), processes=2),
        Variant("4 processes", ("-k", "process", "-w", "4"), processes=4),
    )

    def __init__(self, name: str, environment: Mapping[str, str], less: str) -> None:
        self.name = name
        self.environment = environment
        self.less = less

    def command(self, python: Path, variant: Variant) -> list[str]:
        return [
            script(python, "huey_consumer"),
            f"{self.module}.huey",
            *variant.arguments,
            *_POLL,
            "--no-periodic",
            "--quiet",
        ]


_LESS = "removes a job before it runs, so a killed worker loses it; polls every 2 ms here (100 ms as it ships)"

AS_SHIPPED = _Huey("huey-sqlite", {}, f"{_LESS}; synchronous=FULL, SQLite's default")
NO_FSYNC = _Huey(
    "huey-sqlite-nofsync",
    {"BENCH_HUEY_FSYNC": "off"},
    f"{_LESS}; synchronous=OFF: a power loss may corrupt its file",
)
