"""Commands of Umbel's and Celery's in processes that are forked from one that has imported what commands import.

A command is a process of its own as before, with its folder, environment, streams and exit code, and ends as Python
ends. Only Celery, SQLAlchemy and what else it needs are not imported once more, which is most of what it costs: seven
tenths of a second of a core. What is imported by whom is for tests that start a Python (``test_help``).

``python -m tests.warm FD`` is the process that is forked. It knows no application, and has one thread.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

__all__ = ("Command", "Warm")

_ROOT: Final = Path(__file__).resolve().parent.parent
_MOST: Final = 1 << 20
_MODULES: Final = (
    "celery.bin.celery",
    "umbel.app",
    "umbel.engine.channel",
    "umbel.engine.redis",
    "umbel.monitor.history",
    "umbel.monitor.where",
)
#: Warnings that Python does not show, unless it is told to.
_QUIET: Final = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Command:
    """One command that runs."""

    def __init__(self, pid: int, status: socket.socket) -> None:
        self.pid = pid
        self._status = status

    def wait(self, seconds: float) -> int:
        """Return its exit code, as :mod:`subprocess` has it.

        After ``seconds`` it is killed. Raises :exc:`TimeoutError` then.
        """
        self._status.settimeout(seconds)
        try:
            told = self._status.recv(16)
        except TimeoutError:
            os.kill(self.pid, signal.SIGKILL)
            raise TimeoutError(f"process {self.pid} has not ended after {seconds:g} s") from None
        finally:
            self._status.close()
        return int(told)


class Warm:
    """The process that is forked; it starts with the first command, and ends when this is closed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None
        self._lock = threading.Lock()

    def start(
        self,
        arguments: list[str],
        folder: Path,
        environment: dict[str, str],
        streams: tuple[int, int, int],
        module: str = "umbel",
    ) -> Command:
        """Start ``python -m module`` with ``arguments``; ``streams`` are what it reads, writes, and complains into."""
        with self._lock:
            asking = self._asking or self._begin()
        ours, theirs = socket.socketpair()
        wanted = {"module": module, "arguments": arguments, "folder": str(folder), "environment": environment}
        with theirs:
            socket.send_fds(asking, [json.dumps(wanted).encode()], [*streams, theirs.fileno()])
        return Command(int(ours.recv(16)), ours)

    def run(
        self,
        arguments: list[str],
        folder: Path,
        environment: dict[str, str],
        *,
        module: str = "umbel",
        text: str = "",
        seconds: float = 60.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m module`` to its end; it reads ``text``."""
        with tempfile.TemporaryFile("w+") as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            given.write(text)
            given.seek(0)
            command = self.start(arguments, folder, environment, (given.fileno(), out.fileno(), err.fileno()), module)
            code = command.wait(seconds)
            return subprocess.CompletedProcess([module, *arguments], code, _said(out), _said(err))

    def close(self) -> None:
        """End it."""
        if self._process is not None and self._asking is not None:
            self._asking.close()
            self._process.wait()

    def _begin(self) -> socket.socket:
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-u", "-m", __name__, str(theirs.fileno())],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        return self._asking


def _said(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


@dataclass(slots=True)
class _Forked:
    """What the process that is forked keeps: where it is asked, where signals wake it, and whom it tells of an end."""

    asked: socket.socket
    woken: int
    told: dict[int, socket.socket]

    def serve(self) -> dict[str, Any]:
        """Fork for each command until nobody can ask any more; return in each fork what it is to do."""
        while True:
            ready, _, _ = select.select([self.asked, self.woken], [], [])
            if self.woken in ready:
                os.read(self.woken, _MOST)
                self._bury()
            if self.asked in ready and (wanted := self._next()) is not None:
                return wanted

    def _next(self) -> dict[str, Any] | None:
        data, files, _, _ = socket.recv_fds(self.asked, _MOST, 4)
        if not data:
            sys.exit(0)
        pid = os.fork()
        if pid == 0:
            for number, file in enumerate(files[:3]):
                os.dup2(file, number)
            for teller in self.told.values():
                teller.close()
            wanted: dict[str, Any] = json.loads(data)
            return wanted
        for file in files[:3]:
            os.close(file)
        self.told[pid] = socket.socket(fileno=files[3])
        with contextlib.suppress(BrokenPipeError):
            self.told[pid].send(f"{pid:16}".encode())
        return None

    def _bury(self) -> None:
        while self.told:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self.told.pop(pid) as teller, contextlib.suppress(BrokenPipeError):
                teller.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(wanted: dict[str, Any]) -> None:
    """Let this fork be as a Python that has been started for a command."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(wanted["folder"])
    os.environ.clear()
    os.environ.update(wanted["environment"])
    sys.path[:1] = [wanted["folder"], *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = [wanted["module"], *wanted["arguments"]]
    if os.environ.get("PYTHONWARNINGS") != "error":
        warnings.resetwarnings()
        for kind in _QUIET:
            warnings.simplefilter("ignore", kind)


def _main(file: int) -> None:
    for name in _MODULES:
        importlib.import_module(name)
    assert list(importlib.import_module("umbel.cli").umbel_command.commands.values())
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=file) as asked:
        wanted = _Forked(asked, woken, {}).serve()
    _become(wanted)
    runpy.run_module(wanted["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
