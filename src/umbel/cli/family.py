"""A few child processes that start together and end together: what ``umbel up`` is.

Children run in process groups of their own, so that Ctrl-C reaches only this process and each child gets exactly
one SIGTERM; a second Ctrl-C sends a second one, which ends a worker at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Final

from umbel.cli import lifeline
from umbel.cli.console import remark

__all__ = ("Child", "Family")

_SIGNALS: Final = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_TICK: Final = 0.2


@dataclass(slots=True)
class Child:
    """One child process. Who ``reloads`` gets a SIGHUP for new code, others are replaced."""

    name: str
    command: Sequence[str]
    reloads: bool = False
    process: subprocess.Popen[bytes] | None = None
    replacing: bool = False
    down: bool = False

    def start(self, line: int) -> None:
        """Start the process, with ``line`` as its lifeline."""
        self.replacing = self.down = False
        environment = {**os.environ, lifeline.VARIABLE: str(line)}
        self.process = subprocess.Popen(self.command, env=environment, pass_fds=(line,), process_group=0)

    def send(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def code(self) -> int | None:
        """Return its exit code; None while it runs."""
        return None if self.process is None else self.process.poll()


class Family:
    """Runs children until a signal comes or one of them ends by itself.

    When ``patient``, a child that ends by itself is started again at the next reload: its code is being worked on.
    """

    def __init__(self, children: Sequence[Child], *, patient: bool = False) -> None:
        self.children: Final = children
        self._patient = patient
        self._stops = 0
        self._reload = False
        # The writing end stays open, unused, for as long as this process lives.
        self._line, self._held = os.pipe()

    def run(self) -> tuple[Child, int] | None:
        """Start all, wait, and end all; return the child that ended by itself with its code, None after a signal."""
        previous = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            for child in self.children:
                child.start(self._line)
            return self._watch()
        finally:
            self._end()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def reload(self) -> None:
        """Have every child take up changed code; may be called from any thread."""
        self._reload = True

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._stops += 1

    def _watch(self) -> tuple[Child, int] | None:
        while not self._stops:
            for child in self.children:
                code = child.code()
                if code is None or child.down:
                    continue
                if child.replacing:
                    child.start(self._line)
                elif self._patient:
                    child.down = True
                    remark(f"{child.name} ended with code {code}: it starts again when a file changes")
                else:
                    return child, code
            time.sleep(_TICK)
            if self._reload:
                self._reload = False
                self._renew()
        return None

    def _renew(self) -> None:
        for child in self.children:
            if child.down:
                child.start(self._line)
            elif child.reloads:
                child.send(signal.SIGHUP)
            else:
                child.replacing = True
                child.send(signal.SIGTERM)

    def _end(self) -> None:
        sent = 0
        while any(child.process is not None and child.code() is None for child in self.children):
            if sent < max(self._stops, 1):
                sent += 1
                for child in self.children:
                    child.send(signal.SIGTERM)
            time.sleep(_TICK)
