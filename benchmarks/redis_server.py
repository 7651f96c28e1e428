"""One private redis-server for a run of the benchmark: on loopback, nothing on disk, gone with the run."""

import atexit
import functools
import shutil
import socket
import subprocess
import time

__all__ = ["NoRedis", "empty", "url"]


class NoRedis(Exception):
    """There is no redis-server on this machine."""


@functools.cache
def url() -> str:
    """Start the server with the first call, and return its URL. Raises :exc:`NoRedis`."""
    program = shutil.which("redis-server")
    if program is None:
        raise NoRedis("redis-server is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    arguments = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    atexit.register(process.kill)
    deadline = time.monotonic() + 10.0
    while time.monotonic() < deadline:
        if _ask(port, "PING") == b"+PONG":
            return f"redis://127.0.0.1:{port}/0"
        time.sleep(0.02)
    raise NoRedis("redis-server did not start")


def empty() -> None:
    """Drop everything, so that each site has a fresh store."""
    _ask(int(url().rsplit(":", 1)[1].partition("/")[0]), "FLUSHALL")


def _ask(port: int, command: str) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(f"{command}\r\n".encode())
            return connection.recv(64).strip()
    except OSError:
        return b""
