"""The other Python queues, each in one process, results stored where it can."""

from pathlib import Path

from benchmarks.subjects.subject import HERE, Subject, Variant, script

__all__ = [
    "DRAMATIQ",
    "PROCRASTINATE",
    "RQ",
    "SAQ",
    "STREAQ",
    "TASKIQ_LIST",
    "TASKIQ_STREAMS",
    "Dramatiq",
    "Saq",
]


class _Peer(Subject):
    server = "redis"

    def __init__(self, name: str, title: str, less: str) -> None:
        self.name = name
        self.title = title
        self.less = less
        self.requirements = HERE / "requirements" / f"{name}.txt"
        self.module = f"benchmarks.inside.{name}_jobs"


class Dramatiq(_Peer):
    """Dramatiq's own worker."""

    pace = 1800
    dispatch_pace = 4000
    variants = (Variant("8 threads", ("-t", "8")), Variant("2 threads", ("-t", "2")))
    crowds = (Variant("100 threads", ("-t", "100")),)

    def command(self, program: Path, variant: Variant) -> list[str]:
        return [script(program, "dramatiq"), f"{self.module}:broker", "-p", "1", *variant.arguments]


class _Taskiq(_Peer):
    pace = 2000
    variants = (
        Variant("100 tasks", ("--max-async-tasks", "100")),
        Variant("100 tasks, prefetch 100, no parsing", ("--max-prefetch", "100", "--no-parse")),
    )
    crowds = (Variant("100 tasks", ("--max-async-tasks", "100")),)

    def __init__(self, transport: str, less: str) -> None:
        super().__init__("taskiq", f"Taskiq, {transport}", less)
        self.name = f"taskiq-{transport}"
        self.environment = {"BENCH_TASKIQ": transport}

    def command(self, program: Path, variant: Variant) -> list[str]:
        begin = [script(program, "taskiq"), "worker", f"{self.module}:broker", "--workers", "1"]
        return [*begin, "--log-level", "WARNING", *variant.arguments]


class Saq(_Peer):
    """SAQ's own worker."""

    pace = 1500
    dispatch_pace = 3500
    variants = (Variant("10 tasks"), Variant("50 tasks", concurrency=50))
    crowds = (Variant("100 tasks", concurrency=100),)

    def command(self, program: Path, variant: Variant) -> list[str]:
        return [script(program, "saq"), f"{self.module}.settings", "--quiet"]


class _Streaq(_Peer):
    pace = 1200
    bulk = True
    variants = (Variant("16 tasks", concurrency=16), Variant("100 tasks", concurrency=100))
    crowds = (Variant("100 tasks", concurrency=100),)

    def command(self, program: Path, variant: Variant) -> list[str]:
        return [script(program, "streaq"), "run", f"{self.module}:worker"]


class _Rq(_Peer):
    pace = 500
    dispatch_pace = 2500
    bulk = True
    variants = (
        Variant("in the worker's process", ("-w", "rq.SimpleWorker")),
        Variant("a fork for each job"),
    )

    def command(self, program: Path, variant: Variant) -> list[str]:
        begin = [script(program, "rq"), "worker", "bench", "--quiet", "--serializer", "json"]
        return [*begin, *variant.arguments]

    def variables(self, directory: Path, url: str) -> dict[str, str]:
        return super().variables(directory, url) | {"RQ_REDIS_URL": url}


class _Procrastinate(_Peer):
    server = "postgres"
    pace = 450
    dispatch_pace = 900
    bulk = True
    variants = (
        Variant("10 tasks", ("--concurrency", "10")),
        Variant("1 task", ("--concurrency", "1")),
    )
    crowds = (Variant("100 tasks", ("--concurrency", "100")),)

    def command(self, program: Path, variant: Variant) -> list[str]:
        begin = [script(program, "procrastinate"), f"--app={self.module}.app", "--log-level=warning"]
        return [*begin, "worker", *variant.arguments]


DRAMATIQ = Dramatiq("dramatiq", "Dramatiq", "a killed worker's jobs come back after a minute")
TASKIQ_LIST = _Taskiq("list", "removes a job when it is fetched, with no acknowledgement: a killed worker loses it")
TASKIQ_STREAMS = _Taskiq("streams", "a killed worker's jobs come back after ten minutes")
SAQ = Saq("saq", "SAQ", "a killed worker's jobs come back when their heartbeat or time-out has passed")
STREAQ = _Streaq("streaq", "streaQ", "a killed worker's jobs come back after a minute")
RQ = _Rq("rq", "RQ", "a killed worker's jobs fail, unless retries were asked for")
PROCRASTINATE = _Procrastinate(
    "procrastinate",
    "Procrastinate, PostgreSQL",
    "stores no results; a killed worker's jobs stay as they are until code of one's own looks for them",
)
