"""One private PostgreSQL for a run of the benchmark: on loopback, never syncing (as the Redis beside it)."""

import atexit
import functools
import glob
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.environments import Missing

__all__ = ["NoPostgres", "database"]

_QUICK = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=300"
_numbers = itertools.count()


class NoPostgres(Missing):
    """There is no PostgreSQL on this machine, or it did not start."""


@contextmanager
def database() -> Iterator[str]:
    """The URL of an empty database, dropped afterwards. Raises :exc:`NoPostgres`."""
    port = _port()
    name = f"bench{next(_numbers)}"
    _run(port, f"create database {name}")
    try:
        yield f"postgresql://bench@127.0.0.1:{port}/{name}"
    finally:
        _run(port, f"drop database {name} with (force)")


@functools.cache
def _port() -> int:
    try:
        return _start()
    except (OSError, subprocess.SubprocessError) as error:
        raise NoPostgres(f"PostgreSQL did not start: {error}") from error


def _start() -> int:
    initdb, control = _program("initdb"), _program("pg_ctl")
    # It refuses to be root.
    as_nobody = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="umbel-bench-pg-"))
    if as_nobody:
        shutil.chown(folder, "nobody")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    data = str(folder / "data")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {_QUICK}"
    run: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "timeout": 120}
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([*as_nobody, initdb, "-D", data, "-U", "bench", "-A", "trust", "--no-sync"], check=True, **run)
    begin = [*as_nobody, control, "-D", data]
    atexit.register(subprocess.run, [*begin, "-m", "immediate", "stop"], **run)
    subprocess.run([*begin, "-o", options, "-l", str(folder / "log"), "-w", "start"], check=True, **run)
    return port


def _program(name: str) -> str:
    found = shutil.which(name) or max(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), default=None)
    if found is None:
        raise NoPostgres("PostgreSQL is not installed")
    return found


def _run(port: int, statement: str) -> None:
    try:
        import psycopg
    except ImportError as missing:
        raise NoPostgres("psycopg is not installed: make setup") from missing
    with psycopg.connect(host="127.0.0.1", port=port, user="bench", dbname="postgres", autocommit=True) as connection:
        connection.execute(statement.encode())
