"""A private PostgreSQL for tests: as another user where we are root, which it refuses to be."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PostgresServer", "running_postgres"]


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One server on loopback."""

    port: int
    control: list[str]
    options: str
    folder: Path

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://umbel@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        self._run("-o", self.options, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        """End the server at once, as a crash would."""
        self._run("-m", "immediate", "stop")

    def _run(self, *words: str) -> None:
        subprocess.run([*self.control, *words], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)


@contextlib.contextmanager
def running_postgres(program: Callable[..., str]) -> Iterator[PostgresServer]:
    """Run a server until the block ends; ``program`` finds its programs."""
    initdb, pg_ctl = (program(name, "postgresql", "/usr/lib/postgresql/*/bin") for name in ("initdb", "pg_ctl"))
    as_nobody = [program("runuser"), "-u", "nobody", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="umbel-pg-"))
    if as_nobody:
        shutil.chown(folder, "nobody")
    data, port = str(folder / "data"), _free_port()
    run: dict[str, Any] = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*as_nobody, initdb, "-D", data, "-U", "umbel", "-A", "trust", "--no-sync"], **run)
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    server = PostgresServer(port, [*as_nobody, pg_ctl, "-D", data], options, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
