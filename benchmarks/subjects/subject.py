"""What the benchmark asks of a subject: how to install it, how to start its worker, and what it does less of."""

import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HERE", "ROOT", "Subject", "Variant", "script"]

HERE = Path(__file__).resolve().parent.parent
#: Where peers are installed and stores are made.
ROOT = HERE.parent / ".bench"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of running a subject's worker; the quickest of a short trial is used.

    ``processes`` is how many processes run jobs, ``concurrency`` reaches those workers that take it from their code
    (as ``BENCH_CONCURRENCY``).
    """

    name: str
    arguments: tuple[str, ...] = ()
    processes: int = 1
    concurrency: int = 10


class Subject(ABC):
    """A queue under measurement; the code that runs in its own interpreter is ``module``."""

    name: str
    #: As tables and plots call it.
    title: str
    module: str
    #: ``python``, ``node`` or ``ruby``.
    language: str = "python"
    #: A list of pinned packages for pip, or a package.json; None for what runs in the benchmark's own interpreter.
    requirements: Path | None = None
    #: Umbel itself, so that a measurement which breaks is a failure of the run.
    ours: bool = False
    less: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    variants: tuple[Variant, ...] = (Variant("default"),)
    #: The ways of running a hundred jobs at once; none where a process runs one at a time.
    crowds: tuple[Variant, ...] = ()
    environment: Mapping[str, str] = {}
    #: Where its store is: ``redis`` or ``postgres``, a private server of the run's; empty for the site's directory.
    server: str = ""
    #: It has a call for enqueueing many, which then is what fills its queue.
    bulk: bool = False
    #: Its client is not measured, being that of another subject.
    sends: bool = True
    #: Roughly how many jobs a second it drains, and dispatches, so that each is measured for about as long.
    pace: int = 1000
    dispatch_pace: int = 3000

    @abstractmethod
    def command(self, program: Path, variant: Variant) -> list[str]:
        """The worker's command line; one no-op at a time is not asked for, all that ``variant`` says is."""

    def client(self, program: Path, verb: str) -> list[str]:
        """The command line of one verb; see ``inside/client.py``."""
        return [str(program), "-m", "benchmarks.inside.client", self.module, verb]

    def observer(self, program: Path) -> list[str]:
        """The command line of what observes a drain."""
        return self.client(program, "watch")

    def variables(self, directory: Path, url: str) -> dict[str, str]:
        """The worker's and the client's environment; ``directory`` and the store at ``url`` are theirs alone."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UMBEL_", "CELERY_"))}
        path = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH", ""))))
        own = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "BENCH_DIR": str(directory), "BENCH_URL": url}
        return kept | own | dict(self.environment)


def script(program: Path, name: str) -> str:
    """A console script beside ``program`` (or beside the running interpreter's links)."""
    for folder in (program.parent, Path(sys.executable).parent):
        if (folder / name).exists():
            return str(folder / name)
    return name
