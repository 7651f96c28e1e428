"""One subject in one fresh directory: its client, its worker, and what the outside can see of them."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped,unused-ignore]

from benchmarks import postgres_server, redis_server
from benchmarks.environments import ROOT, Missing, prepare
from benchmarks.inside import tally
from benchmarks.subjects import Subject, Variant

__all__ = ["Broken", "Site", "Watch", "Worker", "reachable", "site"]

_STOP = 20.0
_CLIENT = 900.0
_SERVERS = {"": lambda: nullcontext(""), "redis": redis_server.database, "postgres": postgres_server.database}


class Broken(Exception):
    """A measurement that could not be made; the text holds the last lines of the log."""


class Worker:
    """A running worker with all its processes."""

    def __init__(self, process: "subprocess.Popen[bytes]", begun: float, stop_signal: signal.Signals) -> None:
        self.process = process
        self.begun = begun
        self._stop_signal = stop_signal

    def family(self) -> list[psutil.Process]:
        """The process that was started and everything below it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system time of the whole family so far."""
        times = [process.cpu_times() for process in self.family()]
        return float(sum(each.user + each.system for each in times))

    def stop(self, graceful: bool) -> None:
        """Ask it to end, and after a while insist; or insist at once."""
        if graceful and self.process.poll() is None:
            self.process.send_signal(self._stop_signal)
            try:
                self.process.wait(_STOP)
            except subprocess.TimeoutExpired:
                print("worker did not stop in time and was killed", file=sys.stderr)
        self._kill_group()
        self.process.wait()

    def _kill_group(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


class Site:
    """A directory, and where the subject needs one a server's database at ``url``, with one subject's store in it."""

    def __init__(self, subject: Subject, program: Path, directory: Path, url: str = "") -> None:
        self.subject = subject
        self.program = program
        self.directory = directory
        self.url = url
        self._variables = subject.variables(directory, url)

    def guest(self, subject: Subject, program: Path) -> "Site":
        """Another subject in the same place, such as another library's client."""
        return Site(subject, program, self.directory, self.url)

    def client(self, verb: str, **options: Any) -> dict[str, Any]:
        """Run one verb of ``inside/client.py`` to its end and return what it printed."""
        with self._log("client.log") as log:
            command = [*self.subject.client(self.program, verb), *_flags(options)]
            done = subprocess.run(
                command, env=self._variables, cwd=self.directory, stdout=subprocess.PIPE, stderr=log, timeout=_CLIENT
            )
        if done.returncode:
            raise Broken(f"{self.subject.name} {verb}: {self.last_lines('client.log')}")
        return dict(json.loads(done.stdout.splitlines()[-1]))

    @contextmanager
    def worker(self, variant: Variant, graceful: bool = False) -> Iterator[Worker]:
        """Run a worker for the length of the block; its output goes to ``worker.log``.

        It is killed then, unless what it leaves behind is still wanted.
        """
        command = self.subject.command(self.program, variant)
        variables = self._variables | {"BENCH_CONCURRENCY": str(variant.concurrency)}
        with self._log("worker.log") as log:
            begun = time.monotonic()
            process = subprocess.Popen(
                command, env=variables, cwd=self.directory, stdout=log, stderr=log, start_new_session=True
            )
        worker = Worker(process, begun, self.subject.stop_signal)
        try:
            yield worker
        finally:
            worker.stop(graceful)

    @contextmanager
    def watching(self, jobs: int, variant: Variant, **options: Any) -> Iterator["Watch"]:
        """An observer process that is ready before the block begins."""
        options |= {"jobs": jobs, "processes": variant.processes}
        with self._log("watch.log") as log:
            command = [*self.subject.observer(self.program), *_flags(options)]
            process = subprocess.Popen(
                command, env=self._variables, cwd=self.directory, stdout=subprocess.PIPE, stderr=log
            )
        watch = Watch(self, process)
        try:
            watch.ready()
            yield watch
        finally:
            process.kill()
            process.wait()

    def done(self) -> tally.Total:
        """What the jobs themselves have counted."""
        return tally.read(self.directory)

    def forget(self) -> None:
        """Start counting again from nothing, the store untouched."""
        for path in (*self.directory.glob("*.tally"), self.directory / "stamps"):
            path.unlink(missing_ok=True)

    def last_lines(self, name: str, lines: int = 12) -> str:
        """The end of a log, for error messages."""
        content = (self.directory / name).read_text(errors="replace").splitlines()
        return "\n".join(content[-lines:])

    @contextmanager
    def _log(self, name: str) -> Iterator[Any]:
        with (self.directory / name).open("ab") as log:
            yield log


class Watch:
    """The observer of one drain."""

    def __init__(self, where: Site, process: "subprocess.Popen[bytes]") -> None:
        self._where = where
        self._process = process

    def ready(self) -> None:
        """Return when the observer looks."""
        if self._line().strip() != b"ready":
            raise Broken(f"{self._where.subject.name} watch: {self._where.last_lines('watch.log')}")

    def outcome(self, when_active: Callable[[], None]) -> dict[str, Any]:
        """Wait for the end of the drain; ``when_active`` is called once all processes work, if they ever do."""
        line = self._line()
        if line.strip() == b"active":
            when_active()
            line = self._line()
        if not line:
            logs = f"{self._where.last_lines('watch.log')}\n{self._where.last_lines('worker.log')}"
            raise Broken(f"{self._where.subject.name} drain: {logs}")
        return dict(json.loads(line))

    def _line(self) -> bytes:
        if self._process.stdout is None:
            raise Broken("the observer has no output")
        return self._process.stdout.readline()


@functools.cache
def reachable(server: str) -> None:
    """Start the server of that name, once. Raises :exc:`Missing` where there is none."""
    with _SERVERS[server]():
        return


@contextmanager
def site(subject: Subject, program: Path, keep: bool = False) -> Iterator[Site]:
    """A fresh directory on the project's own disk, removed afterwards unless ``keep``, and a fresh database."""
    runs = prepare(ROOT) / "runs"
    runs.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=f"{subject.name}-", dir=runs))
    try:
        with _SERVERS[subject.server]() as url:
            yield Site(subject, program, directory, url)
    except Missing as missing:
        raise Broken(str(missing)) from missing
    finally:
        if keep:
            print(f"kept {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)


def _flags(options: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        elif value is not None and value is not False:
            flags += [flag, str(value)]
    return flags
