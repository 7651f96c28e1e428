"""``umbel worker`` and its processes: started, found, stopped where they stand, killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import psutil

__all__ = ("Fleet", "freeze", "kill", "thaw")

_ROOT = Path(__file__).resolve().parents[2]
_STOP_SECONDS = 10.0
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Fleet:
    """One supervisor with its children."""

    def __init__(
        self,
        folder: Path,
        broker: str,
        *,
        processes: int,
        concurrency: int,
        pool: str = "default",
        environment: Mapping[str, str] = _NOTHING,
    ) -> None:
        self._folder = folder
        self._arguments = ["--processes", str(processes), "-c", str(concurrency), "--loglevel", "WARNING"]
        self._arguments += ["--pool", pool]
        self._environment = {
            **os.environ,
            "UMBEL_BROKER_URL": broker,
            "CHAOS_MARKS": str(folder),
            # Each failure is counted by its letter.
            "UMBEL_DEAD_LETTERS_MOST": "1000000",
            "PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src"))),
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor."""
        with (self._folder / "worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "umbel", "worker", "-A", "tests.chaos.jobs:app", *self._arguments],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def supervisor(self) -> psutil.Process:
        """The supervisor's process."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def children(self, role: str | None = None) -> list[psutil.Process]:
        """Return the living worker processes, or those with a role: ``worker`` or ``suspects``."""
        found = []
        for child in self.supervisor.children():
            with contextlib.suppress(psutil.Error, IndexError, ValueError):
                settings = json.loads(child.cmdline()[-1])
                if role in (None, settings["role"]):
                    found.append(child)
        return found

    def recorders(self) -> list[psutil.Process]:
        """Return the living recorders: one, but for a moment."""
        found = []
        for child in self.supervisor.children():
            with contextlib.suppress(psutil.Error):
                if "umbel.monitor" in child.cmdline():
                    found.append(child)
        return found

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.poll() is None

    def crash(self) -> None:
        """Take note that the supervisor was killed, and start another one."""
        assert self._process is not None
        self._process.wait(_STOP_SECONDS)
        self.start()

    def stop(self, seconds: float = 60.0) -> int:
        """End gracefully; return the exit code."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        # One that has just been started does not listen to signals yet; with its first child it does.
        while self.alive() and not self.children() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._process.terminate()
        return self._process.wait(seconds)

    def abandon(self) -> None:
        """Kill whatever is left of it."""
        if self._process is None:
            return
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            family = self.children()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(_STOP_SECONDS)
        kill(family)


def freeze(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Stop processes where they stand; return those that were still there to be stopped.

    A stopped process that is then killed has done exactly what one killed at the moment of the stop has, and in
    between one can look at what it holds.
    """
    frozen = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGSTOP)
            deadline = time.monotonic() + _STOP_SECONDS
            while process.status() != psutil.STATUS_STOPPED:
                if process.status() == psutil.STATUS_ZOMBIE or time.monotonic() > deadline:
                    raise psutil.NoSuchProcess(process.pid)
                time.sleep(0.001)
            frozen.append(process)
    return frozen


def thaw(processes: Iterable[psutil.Process]) -> None:
    """Let stopped processes go on."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
