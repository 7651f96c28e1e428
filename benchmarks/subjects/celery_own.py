"""Plain Celery on the two of its own transports that need no server, and with three of its pools on Redis."""

from pathlib import Path

from benchmarks.subjects.subject import HERE, Subject, Variant

__all__ = ["FILESYSTEM", "PREFORK", "SOLO", "SQLALCHEMY", "THREADS", "OnRedis"]


class _Celery(Subject):
    module = "benchmarks.inside.celery_jobs"
    requirements = HERE / "requirements" / "celery.txt"
    pace = 600
    dispatch_pace = 1400
    variants = (
        Variant("solo", ("-P", "solo")),
        Variant("4 threads", ("-P", "threads", "-c", "4")),
        Variant("prefork", ("-P", "prefork", "-c", "1")),
    )

    def __init__(self, name: str, title: str, transport: str, less: str) -> None:
        self.name = name
        self.title = f"Celery, {title}"
        self.environment = {"BENCH_CELERY_TRANSPORT": transport}
        self.less = less

    def command(self, program: Path, variant: Variant) -> list[str]:
        quiet = ("-l", "WARNING", "--without-gossip", "--without-mingle", "--without-heartbeat")
        return [str(program), "-m", "celery", "-A", f"{self.module}:app", "worker", *variant.arguments, *quiet]


_LATE = "a killed worker's jobs come back after the visibility timeout, an hour"
_TAKES = "takes a message away when it is fetched: a killed worker loses what it had prefetched"

SQLALCHEMY = _Celery("celery-sqlalchemy", "SQLAlchemy on SQLite", "sqlalchemy", _TAKES)
FILESYSTEM = _Celery("celery-filesystem", "files", "filesystem", f"{_TAKES}; no fsync at all")


class OnRedis(_Celery):
    """Celery on its own Redis transport."""

    server = "redis"
    pace = 1000

    def __init__(self, name: str, variant: Variant, crowds: tuple[Variant, ...] = (), *, sends: bool = False) -> None:
        super().__init__(
            name,
            name.partition("-")[2],
            "redis",
            "a killed worker's jobs come back after the visibility timeout, an hour",
        )
        self.variants = (variant,)
        self.crowds = crowds
        self.sends = sends


PREFORK = OnRedis("celery-prefork", Variant("1 child", ("-P", "prefork", "-c", "1")), sends=True)
THREADS = OnRedis(
    "celery-threads",
    Variant("10 threads", ("-P", "threads", "-c", "10")),
    (Variant("100 threads", ("-P", "threads", "-c", "100")),),
)
SOLO = OnRedis("celery-solo", Variant("solo", ("-P", "solo")))
