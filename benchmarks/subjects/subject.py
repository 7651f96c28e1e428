"""What the benchmark asks of a subject: how to install it, how to start its worker, and what it does less of."""

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import redis_server

__all__ = ["HERE", "Subject", "Variant", "script"]

HERE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of running a subject's worker; the quickest of a short trial is used.

    ``processes`` is how many processes run jobs.
    """

    name: str
    arguments: tuple[str, ...] = ()
    processes: int = 1


class Subject(ABC):
    """A queue under measurement; the code that runs in its own interpreter is ``module``."""

    name: str
    module: str
    requirements: Path | None = None
    less: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    variants: tuple[Variant, ...] = (Variant("default"),)
    environment: Mapping[str, str] = {}
    #: Its store is the run's private Redis.
    on_redis: bool = False

    @abstractmethod
    def command(self, python: Path, variant: Variant) -> list[str]:
        """The worker's command line; one no-op at a time is not asked for, all that ``variant`` says is."""

    def variables(self, directory: Path) -> dict[str, str]:
        """The worker's and the client's environment; ``directory`` is theirs alone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UMBEL_", "CELERY_"))}
        path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH", ""))))
        store = {"BENCH_REDIS": redis_server.url()} if self.on_redis else {}
        own = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "BENCH_DIR": str(directory)}
        return kept | own | store | dict(self.environment)


def script(python: Path, name: str) -> str:
    """A console script beside ``python`` (or beside the running interpreter's links)."""
    for folder in (python.parent, Path(sys.executable).parent):
        if (folder / name).exists():
            return str(folder / name)
    return name
