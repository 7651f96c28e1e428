"""One private redis-server for a run of the benchmark: on loopback, nothing on disk, gone with the run."""

import atexit
import functools
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.environments import Missing

__all__ = ["NoRedis", "Used", "database", "used"]

_DATABASES = 16
_taken: set[int] = set()


class NoRedis(Missing):
    """There is no redis-server on this machine."""


@dataclass(frozen=True, slots=True)
class Used:
    """What the server has done since it started: commands, those inside scripts too, and seconds of processor time."""

    commands: int
    cpu_seconds: float

    def __sub__(self, other: "Used") -> "Used":
        return Used(self.commands - other.commands, self.cpu_seconds - other.cpu_seconds)


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database, emptied again afterwards. Raises :exc:`NoRedis`."""
    port = _port()
    number = min(set(range(_DATABASES)) - _taken)
    _taken.add(number)
    _ask(port, f"SELECT {number}", "FLUSHDB")
    try:
        yield f"redis://127.0.0.1:{port}/{number}"
    finally:
        _ask(port, f"SELECT {number}", "FLUSHDB")
        _taken.remove(number)


def used() -> Used:
    """What the server has done so far; asking is not counted."""
    lines = _ask(_port(), "INFO commandstats", "INFO cpu").decode().splitlines()
    asked = ("cmdstat_info", "cmdstat_select", "cmdstat_flushdb")
    calls = [line for line in lines if line.startswith("cmdstat_") and not line.startswith(asked)]
    cpu = [line.partition(":")[2] for line in lines if line.startswith(("used_cpu_sys:", "used_cpu_user:"))]
    commands = sum(int(line.partition("calls=")[2].partition(",")[0]) for line in calls)
    return Used(commands, sum(float(seconds) for seconds in cpu))


@functools.cache
def _port() -> int:
    program = shutil.which("redis-server")
    if program is None:
        raise NoRedis("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(process.kill)
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        if _ask(port, "PING").startswith(b"+PONG"):
            return port
        time.sleep(0.02)
    process.kill()
    raise NoRedis("redis-server did not start")


def _ask(port: int, *commands: str) -> bytes:
    """Everything that the server answers, or nothing when it cannot be reached."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall("".join(f"{command}\r\n" for command in (*commands, "QUIT")).encode())
            while part := connection.recv(65536):
                answer += part
    except OSError:
        return b""
    return answer
