"""One child of the supervisor, as the supervisor sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

__all__ = ("Child",)


#: What a child runs: it finds the application as the command line does.
_CHILD_MODULE: Final = "umbel.cli.child"


class Child:
    """A worker process: its handle, its status pipe, and the pipe whose end tells it that we are gone."""

    def __init__(self, role: str, number: int, process: subprocess.Popen[bytes], status_fd: int, life_fd: int) -> None:
        self.role = role
        self.number = number
        self.pid = process.pid
        self.status_fd = status_fd
        #: None before it has one, and when it has given back by itself whatever it held.
        self.lease: str | None = None
        self.ready = False
        self.draining = False
        #: Serves on until a new process is ready to take its place.
        self.outgoing = False
        #: Told by remote control to shut down: it is not to be replaced.
        self.leaving = False
        #: Killed by us on purpose: what it ran is not to blame.
        self.killed = False
        self.silent = False
        #: Messages whose jobs it did not stop at their hard limit.
        self.overdue: list[int] = []
        self._process = process
        self._life_fd = life_fd
        self._started = time.monotonic()
        self._buffer = b""

    @classmethod
    def start(cls, role: str, number: int, settings: dict[str, Any], environment: dict[str, str]) -> Child:
        """Start a process. It does not see the terminal's Ctrl-C: the supervisor decides."""
        status_read, status_write = os.pipe()
        life_read, life_write = os.pipe()
        os.set_blocking(status_read, False)
        settings = {**settings, "status_fd": status_write, "life_fd": life_read}
        process = subprocess.Popen(
            [sys.executable, "-m", _CHILD_MODULE, json.dumps(settings)],
            env={**os.environ, **environment, "UMBEL_SUPERVISED": str(os.getpid())},
            pass_fds=(status_write, life_read),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(status_write)
        os.close(life_read)
        return cls(role, number, process, status_read, life_write)

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what the child has said since last time, and remember what matters."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.status_fd, 65536):
                self._buffer += chunk
            self.silent = True
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            self.lease = message.get("lease", self.lease)
            self.ready = self.ready or bool(message.get("ready"))
            self.draining = self.draining or bool(message.get("draining"))
            self.leaving = self.leaving or bool(message.get("leaving"))
            yield message

    @property
    def serves(self) -> bool:
        """Whether this is a process to stay."""
        return not (self.draining or self.outgoing)

    @property
    def lived(self) -> float:
        """How long the child has been there, in seconds."""
        return time.monotonic() - self._started

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask the child to drain and end."""
        self.draining = True
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End the child now."""
        self.killed = True
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def close(self) -> None:
        """Close the pipes."""
        for fd in (self.status_fd, self._life_fd):
            with contextlib.suppress(OSError):
                os.close(fd)
