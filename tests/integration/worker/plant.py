"""Workers in real processes on a store of their own, and what their jobs told."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import end
from umbel import JobState, JobStatus, Umbel
from umbel.engine.store import Engine
from umbel.errors import JobNotFound

__all__ = ("DEADLINE", "Line", "Plant", "Worker", "until")

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 60.0
_JOBS = "plant_jobs"


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until ``condition`` holds; fail with ``what`` after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:g} s still not: {what}", pytrace=False)
        time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the trail."""

    words: tuple[str, ...]
    pid: int
    at: float

    @classmethod
    def parse(cls, text: str) -> Line:
        *words, pid, at = text.split()
        return cls(tuple(words), int(pid), float(at))


@dataclass(slots=True)
class Worker:
    """One ``umbel worker``."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def children(self, role: str | None = None) -> list[psutil.Process]:
        """The living worker processes; ``role``: ``worker`` or ``suspects``."""
        found: list[psutil.Process] = []
        for child in _children(self.process.pid):
            with contextlib.suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if "umbel.cli.child" in line and (role is None or f'"role": "{role}"' in line):
                    found.append(child)
        return found

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, seconds: float = DEADLINE) -> int:
        """Return the exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the worker has not ended after {seconds:g} s:\n{self.text()[-2000:]}", pytrace=False)

    def stop(self) -> int:
        """SIGTERM, and wait."""
        self.send(signal.SIGTERM)
        return self.wait()

    def destroy(self) -> None:
        """Kill whatever is left."""
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = psutil.Process(self.process.pid).children(recursive=True)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE)
        end(family, DEADLINE)


class Plant:
    """A store, its workers, and a client in this process."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder = folder
        #: The file of the embedded engine; without meaning when ``url`` names another one.
        self.store = folder / "store" / "plant.db"
        self.url = url or f"sqlite:///{self.store}"
        self.trail = folder / "trail"
        self.gates = folder / "gates"
        self.gates.mkdir()
        #: The module of the jobs, a copy that a test may change.
        self.code = folder / f"{_JOBS}.py"
        shutil.copyfile(ROOT / "tests/integration/worker/jobs.py", self.code)
        self.workers: list[Worker] = []
        self._tasks: dict[str, Any] = {}
        self.app = Umbel("client", broker=self.url)

    @property
    def engine(self) -> Engine:
        return self.app.engine

    # -- workers ----------------------------------------------------------------------------------------------

    def start(
        self,
        *arguments: str,
        processes: int = 1,
        concurrency: int = 2,
        app: str = f"{_JOBS}:app",
        ready: bool = True,
        pass_fds: tuple[int, ...] = (),
        prefix: Sequence[str] = (),
        **extra: str,
    ) -> Worker:
        """Start ``umbel worker`` and wait until all of its processes fetch."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        environment = {
            **os.environ,
            "UMBEL_BROKER_URL": self.url,
            "PLANT_TRAIL": str(self.trail),
            "PYTHONPATH": os.pathsep.join((str(self.folder), str(ROOT), str(ROOT / "src"))),
            "PYTHONUNBUFFERED": "1",
            **extra,
        }
        command = [*prefix, sys.executable, "-m", "umbel", "worker", "-A", app]
        command += ["--processes", str(processes), "-c", str(concurrency), *arguments]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        if ready:
            until(lambda: self.fetching(worker) == processes, f"{processes} processes fetching; {self.logs()}")
        return worker

    def fetching(self, worker: Worker) -> int:
        """How many processes of ``worker`` fetch."""
        fetching = {status.pid for status in self.engine.workers()}
        return sum(child.pid in fetching for child in worker.children("worker")) if fetching else 0

    def logs(self) -> str:
        return "\n".join(worker.text()[-2000:] for worker in self.workers)

    def close(self) -> None:
        for worker in self.workers:
            worker.destroy()
        for process in self.processes():
            process.kill()
        self.app.engine.close()
        self.app.close()

    def processes(self) -> list[psutil.Process]:
        """Every living process of these workers, orphans included: they run in the plant's folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if "umbel" in " ".join(process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.Error):
                    if process.cwd() == str(self.folder) and process.status() != psutil.STATUS_ZOMBIE:
                        found.append(process)
        return found

    # -- jobs -------------------------------------------------------------------------------------------------

    def task(self, name: str) -> str:
        """Return the full name of a job."""
        return f"{_JOBS}.{name}"

    def send(self, name: str, *args: Any, **options: Any) -> str:
        """Queue a job and return its id."""
        return str(self.app.send_task(f"{_JOBS}.{name}", args, **options).id)

    def send_many(self, name: str, items: Iterable[Any], **options: Any) -> list[str]:
        """Queue a job for each item in bulk and return their ids."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = self.app.task(name=f"{_JOBS}.{name}", typing=False)(_elsewhere)
        return list(task.enqueue_many(items, **options))

    def open(self, *names: str) -> None:
        """Let the jobs that hold at a gate go on."""
        for name in names:
            (self.gates / name).touch()

    def lines(self, *words: object) -> list[Line]:
        """The lines of the trail that begin with ``words``, in the order of writing."""
        if not self.trail.exists():
            return []
        wanted = tuple(map(str, words))
        # What follows the last newline is being written.
        lines = [Line.parse(text) for text in self.trail.read_text().split("\n")[:-1]]
        return [line for line in lines if line.words[: len(wanted)] == wanted]

    def until_told(self, *words: object, times: int = 1, seconds: float = DEADLINE) -> list[Line]:
        """Wait until the trail has ``times`` lines that begin with ``words``."""
        what = f"{' '.join(map(str, words))!r} {times} times"
        deadline = time.monotonic() + seconds
        while len(self.lines(*words)) < times:
            if time.monotonic() > deadline:
                told = [" ".join(line.words) for line in self.lines()]
                pytest.fail(f"after {seconds:g} s not told: {what}, but {told}\n{self.logs()}", pytrace=False)
            time.sleep(0.02)
        return self.lines(*words)

    def state(self, task_id: str) -> JobState | None:
        try:
            return self.app.status(task_id).state
        except JobNotFound:
            return None

    def ended(self, task_id: str, seconds: float = DEADLINE) -> JobStatus:
        """Wait until a job has ended, and return its status."""
        until(
            lambda: (state := self.state(task_id)) is not None and state.finished,
            f"end of {task_id}; {self.logs()}",
            seconds,
        )
        return self.app.status(task_id)

    def empty(self) -> bool:
        """Whether no message waits, is delayed, or is held."""
        return not any(q.ready or q.delayed or q.leased or q.suspect for q in self.engine.queues())


def _children(pid: int) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        try:
            # psutil would look at every process of the machine, many times a second.
            known = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return psutil.Process(pid).children()
        for child in known:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(int(child)))
    return found


def _elsewhere(*_: Any) -> None:
    """What a client knows of a task's body."""


@contextlib.contextmanager
def planted(folder: Path, url: str | None = None) -> Iterator[Plant]:
    plant = Plant(folder, url)
    try:
        yield plant
    finally:
        plant.close()
