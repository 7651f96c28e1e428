"""The demo's processes: started with a log each, watched, and stopped together, whatever happens."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

__all__ = ("ChildFailed", "Children")


_Process = subprocess.Popen[bytes]


class ChildFailed(Exception):
    """A process ended by itself, or did not get ready; the message names it and its log."""


class Children:
    """Child processes, each in a process group of its own, so that Ctrl-C reaches only the parent.

    Use it as a context manager: leaving it stops them, the last started first.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        """``folder`` gets a log a process; ``environ`` is what those see that are started from then on."""
        self._folder = folder
        self.environ = dict(environ)
        self._running: dict[str, _Process] = {}

    def start(self, name: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start ``python -m`` with these arguments."""
        with self._log(name).open("wb") as log:
            self._running[name] = self._spawn(arguments, stdout=log, stderr=log)
        return self._running[name]

    def start_listening(self, name: str, arguments: Sequence[str], timeout: float = 30.0) -> int:
        """Start a process that prints its port when it is ready, and return the port."""
        with self._log(name).open("wb") as log:
            child = self._running[name] = self._spawn(arguments, stdout=subprocess.PIPE, stderr=log)
        lines: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=_read, args=(child, lines), daemon=True).start()
        try:
            return int(lines.get(timeout=timeout))
        except (queue.Empty, ValueError):
            raise self._failed(name, "did not start") from None

    def start_answering(self, name: str, arguments: Sequence[str], port: int, timeout: float = 60.0) -> None:
        """Start a process and wait until it listens on ``port``, which it was told among its arguments."""
        child = self.start(name, arguments)
        deadline = time.monotonic() + timeout
        while not _listens(port):
            if child.poll() is not None or time.monotonic() > deadline:
                raise self._failed(name, "did not start")
            time.sleep(0.05)

    def check(self) -> None:
        """Raise :class:`ChildFailed` if one of them has ended."""
        for name, child in self._running.items():
            if child.poll() is not None:
                raise self._failed(name, f"ended with code {child.returncode}")

    def stop(self, grace: float = 10.0) -> None:
        """Ask each to end, the last started first, and kill what has not after ``grace`` seconds."""
        for child in reversed(self._running.values()):
            child.terminate()
        deadline = time.monotonic() + grace
        for child in reversed(self._running.values()):
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        self._running.clear()

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, _kind: object, _error: object, _trace: object) -> None:
        self.stop()

    def _spawn(self, arguments: Sequence[str], *, stdout: IO[bytes] | int, stderr: IO[bytes]) -> _Process:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _failed(self, name: str, what: str) -> ChildFailed:
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        said = f"\n  {lines[-1]}" if lines else ""
        return ChildFailed(f"The process '{name}' {what}; its log is {self._log(name)}.{said}")


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _read(child: _Process, lines: queue.Queue[bytes]) -> None:
    """Hand on what the child prints until it ends, so that it never waits for a reader."""
    if child.stdout is not None:
        with child.stdout as output:
            lines.put(output.readline())
            for _ in output:
                pass
