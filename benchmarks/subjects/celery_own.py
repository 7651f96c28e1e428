"""Plain Celery on the two of its own transports that need no server, and on Redis."""

import signal
from pathlib import Path

from benchmarks.subjects.subject import HERE, Subject, Variant

__all__ = ["FILESYSTEM", "REDIS", "SQLALCHEMY"]


class _Celery(Subject):
    module = "benchmarks.inside.celery_jobs"
    requirements = HERE / "requirements" / "celery.txt"
    stop_signal = signal.SIGTERM
    variants = (
        Variant("solo", ("-P", "solo")),
        Variant("4 threads", ("-P", "threads", "-c", "4")),
        Variant("prefork", ("-P", "prefork", "-c", "1")),
    )

    def __init__(self, transport: str, less: str) -> None:
        self.name = f"celery-{transport}"
        self.environment = {"BENCH_CELERY_TRANSPORT": transport}
        self.less = less

    def command(self, python: Path, variant: Variant) -> list[str]:
        quiet = ("-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
        return [str(python), "-m", "celery", "-A", f"{self.module}:app", "worker", *variant.arguments, *quiet]


SQLALCHEMY = _Celery(
    "sqlalchemy", "takes a message away when it is fetched: a killed worker loses what it had prefetched"
)
FILESYSTEM = _Celery(
    "filesystem",
    "takes a message away when it is fetched: a killed worker loses what it had prefetched; no fsync at all",
)


class _OnRedis(_Celery):
    on_redis = True
    variants = (Variant("prefork", ("-P", "prefork", "-c", "1")),)


REDIS = _OnRedis("redis", "a killed worker's jobs come back when the visibility timeout has passed, an hour by default")
