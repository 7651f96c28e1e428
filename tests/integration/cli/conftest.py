"""Run the real command line in real processes, in private folders."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from tests.warm import Warm

__all__ = ["Cli", "Running", "on_terminal", "until"]

DEADLINE = 60.0

JOBS = """
import asyncio
import time

from umbel import Umbel, progress

jobs = Umbel("shop")


@jobs.task
def add(x: int, y: int) -> int:
    return x + y


@jobs.task
async def aadd(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


@jobs.task
def fail(text: str) -> None:
    raise ValueError(text)


@jobs.task
def shout(text: str, more: str = "") -> None:
    print(text, more)


@jobs.task
async def chat(*names: str) -> None:
    async def say(name: str) -> None:
        print("I am", name)

    await asyncio.gather(*map(say, names))


@jobs.task
async def nap(seconds: float) -> str:
    progress(1, 2, "napping")
    await asyncio.sleep(seconds)
    return "rested"


@jobs.task(queue="mail")
def mail(to: str) -> str:
    return to
"""


def until(condition: Callable[[], object], what: str, seconds: float = DEADLINE) -> None:
    """Wait until ``condition`` holds; fail with ``what`` after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:g} s still not: {what}", pytrace=False)
        time.sleep(0.05)


def on_terminal(command: list[str], typed: str, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Run a command on a terminal of its own; return its exit code and all that the terminal showed."""
    ours, theirs = pty.openpty()
    environment = {**environment, "TERM": "xterm-256color", "COLUMNS": "80"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, typed.encode())
    seen = b""
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk
    except OSError:  # Linux says EIO when the last writer has gone
        pass
    finally:
        os.close(ours)
    return process.wait(DEADLINE), seen.decode()


@dataclass(slots=True)
class Running:
    """A command that goes on, with what it has printed so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def wait_for(self, text: str) -> None:
        def seen() -> bool:
            if self.process.poll() is not None and text not in self.text():
                pytest.fail(f"ended with {self.process.returncode} before {text!r}:\n{self.text()}", pytrace=False)
            return text in self.text()

        until(seen, f"{text!r} in the output")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@dataclass(slots=True)
class Cli:
    """The command line in one folder."""

    folder: Path
    warm: Warm
    running: list[Running] = field(default_factory=list)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def environment(self, **extra: str) -> dict[str, str]:
        return {**os.environ, "PYTHONWARNINGS": "error", "PYTHONUNBUFFERED": "1", **extra}

    def run(self, *arguments: str, text: str | None = None, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return self.warm.run(list(arguments), self.folder, self.environment(**extra), text=text or "", seconds=DEADLINE)

    def ok(self, *arguments: str, **extra: str) -> str:
        """Run one command that must succeed; return its stdout without the last line end."""
        done = self.run(*arguments, **extra)
        assert done.returncode == 0, f"{arguments} exited {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.rstrip("\n")

    def start(self, *arguments: str, **extra: str) -> Running:
        """Start a command that goes on; it is killed after the test with all its descendants."""
        log = self.folder / f".output-{len(self.running)}"
        file: IO[bytes]
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "umbel", *arguments],
                cwd=self.folder,
                env=self.environment(**extra),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Running(process, log)
        self.running.append(running)
        return running


@pytest.fixture
def cli(project: Path, warm: Warm) -> Iterator[Cli]:
    """The command line in an empty project."""
    made = Cli(project, warm)
    try:
        yield made
    finally:
        for running in made.running:
            _end(running.process)


@pytest.fixture
def shop(cli: Cli) -> Cli:
    """The command line in a project with a ``jobs.py``."""
    cli.write("jobs.py", JOBS)
    return cli


def _end(process: subprocess.Popen[bytes]) -> None:
    import psutil

    family = []
    with contextlib.suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    if process.poll() is None:
        process.kill()
    process.wait(DEADLINE)
    for child in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
