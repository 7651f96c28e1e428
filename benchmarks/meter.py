"""What a subject's Redis does meanwhile: commands and processor time for each job."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import redis_server
from benchmarks.subjects import Subject

__all__ = ["Meter", "metered"]


class Meter:
    """Filled when the block of :func:`metered` ends; stays None for a subject that is not on Redis."""

    used: redis_server.Used | None = None

    def per_job(self, jobs: int) -> dict[str, float]:
        """Redis commands (those inside scripts too) and microseconds of Redis's processor time for each job."""
        if self.used is None or not jobs:
            return {}
        return {
            "redis_commands_per_job": self.used.commands / jobs,
            "redis_us_per_job": self.used.cpu_seconds / jobs * 1e6,
        }


@contextmanager
def metered(subject: Subject) -> Iterator[Meter]:
    """Look at the server before and after the block."""
    meter = Meter()
    before = redis_server.used() if subject.server == "redis" else None
    yield meter
    if before is not None:
        meter.used = redis_server.used() - before
