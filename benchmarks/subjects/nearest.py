"""What other queues have that is nearest to a declaration: their jobs with it, beside their jobs without."""

from benchmarks.subjects.celery_own import PREFORK, OnRedis
from benchmarks.subjects.python_peers import SAQ, Dramatiq, Saq
from benchmarks.subjects.subject import HERE, Subject, Variant

__all__ = ["BESIDE", "NEAREST", "PLAIN"]


class _Singleton(OnRedis):
    requirements = HERE / "requirements" / "celery-singleton.txt"

    def __init__(self) -> None:
        super().__init__("celery-singleton", Variant("1 child", ("-P", "prefork", "-c", "1")), sends=True)
        self.environment = {**self.environment, "BENCH_DECLARE": "singleton"}


class _Dramatiq(Dramatiq):
    variants = (Variant("8 threads", ("-t", "8")),)

    def __init__(self, declared: str, less: str) -> None:
        super().__init__("dramatiq", f"Dramatiq, {declared}", less)
        self.name = f"dramatiq-{declared}"
        self.environment = {"BENCH_DECLARE": declared}


class _Saq(Saq):
    variants = (Variant("50 tasks", concurrency=50),)

    def __init__(self, declared: str) -> None:
        super().__init__("saq", f"SAQ, {declared}", "")
        self.name = f"saq-{declared}"
        self.environment = {"BENCH_DECLARE": declared}


_SUBJECTS: tuple[Subject, ...] = (
    PREFORK,
    _Singleton(),
    SAQ,
    _Saq("key"),
    _Dramatiq("bare", "stores no results"),
    _Dramatiq("results", ""),
    _Dramatiq("concurrent", "a job that finds it taken fails, and is retried; stores no results"),
    _Dramatiq("window", "a job that finds it used up fails, and is retried; stores no results"),
)
#: Them by name.
NEAREST: dict[str, Subject] = {subject.name: subject for subject in _SUBJECTS}
#: The peer without what is nearest, by the name of the one with it.
PLAIN = {
    "celery-singleton": "celery-prefork",
    "saq-key": "saq",
    "dramatiq-results": "dramatiq-bare",
    "dramatiq-concurrent": "dramatiq-bare",
    "dramatiq-window": "dramatiq-bare",
}
#: What is nearest to a declaration of Umbel's.
BESIDE: dict[str, tuple[str, ...]] = {
    "unique": ("celery-singleton", "saq-key"),
    "overlap": ("dramatiq-concurrent",),
    "limits": ("dramatiq-window",),
    "concurrency": ("dramatiq-concurrent",),
    "idempotent": ("dramatiq-results",),
}
