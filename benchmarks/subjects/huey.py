"""Huey on SQLite, as it ships and without fsync, and on Redis."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.subjects.subject import HERE, Subject, Variant, script

__all__ = ["AS_SHIPPED", "NO_FSYNC", "ON_REDIS"]

_POLL = ("-d", "0.002", "-m", "0.002")
_LOSES = "removes a job before it runs, so a killed worker loses it"


class _Huey(Subject):
    module = "benchmarks.inside.huey_jobs"
    requirements = HERE / "requirements" / "huey.txt"
    pace = 4000
    dispatch_pace = 7000
    variants = (
        Variant("1 thread", ("-k", "thread", "-w", "1")),
        Variant("4 threads", ("-k", "thread", "-w", "4")),
        Variant("2 processes", ("-k", "process", "-w", "2"), processes=2),
        Variant("4 processes", ("-k", "process", "-w", "4"), processes=4),
    )

    def __init__(self, name: str, title: str, environment: Mapping[str, str], less: str) -> None:
        self.name = name
        self.title = title
        self.environment = environment
        self.less = less

    def command(self, program: Path, variant: Variant) -> list[str]:
        return [
            script(program, "huey_consumer"),
            f"{self.module}.huey",
            *variant.arguments,
            *_POLL,
            "--no-periodic",
            "--quiet",
        ]


class _OnRedis(_Huey):
    server = "redis"
    pace = 2500
    variants = (
        Variant("1 thread", ("-k", "thread", "-w", "1")),
        Variant("4 threads", ("-k", "thread", "-w", "4")),
        Variant("1 child", ("-k", "process", "-w", "1")),
    )
    crowds = (Variant("100 threads", ("-k", "thread", "-w", "100")),)


_POLLS = f"{_LOSES}; polls every 2 ms here (100 ms as it ships)"

AS_SHIPPED = _Huey("huey-sqlite", "Huey, SQLite", {}, f"{_POLLS}; synchronous=FULL, SQLite's default")
NO_FSYNC = _Huey(
    "huey-sqlite-nofsync",
    "Huey, SQLite without fsync",
    {"BENCH_HUEY_FSYNC": "off"},
    f"{_POLLS}; synchronous=OFF: a power loss may corrupt its file",
)
ON_REDIS = _OnRedis("huey-redis", "Huey", {}, _LOSES)
