"""Private Redis servers of any kind: with TLS, with users, replicas, Sentinels."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import redis

from tests.conftest import free_port, need_program
from tests.integration.worker.plant import until

__all__ = ("Sentinel", "Server")


class Server:
    """A Redis on one port across restarts. ``options`` are those of redis-server, without the dashes."""

    def __init__(self, folder: Path, *, port: int | None = None, tls: bool = False, **options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self._program = need_program("redis-server")
        self._options = {"save": "", "bind": "127.0.0.1", "dir": str(folder), **options}
        self._options |= {"port": "0", "tls-port": str(self.port)} if tls else {"port": str(self.port)}
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        words = [
            word
            for name, value in self._options.items()
            for word in (f"--{name.replace('_', '-')}", *(value.split() or [""]))
        ]
        self._launch([self._program, *words])

    def _launch(self, command: list[str]) -> None:
        log = (self.folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until(lambda: self.listens() or self._ended(), f"redis-server on {self.port}", 30)
            assert not self._ended(), (self.folder / "server.log").read_text()
        except BaseException:
            self.kill()
            raise

    def _ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def client(self, **options: Any) -> Any:
        """A client of the administrator's."""
        return redis.Redis(port=self.port, decode_responses=True, **{"socket_timeout": 60, **options})

    def do(self, *words: Any) -> Any:
        """Let the administrator run one command."""
        with self.client() as client:
            return client.execute_command(*words)


class Sentinel(Server):
    """A Sentinel that alone decides who the master of ``shop`` is."""

    def __init__(self, folder: Path, master: Server, *lines: str) -> None:
        self._lines = [
            f"sentinel monitor shop 127.0.0.1 {master.port} 1",
            "sentinel down-after-milliseconds shop 1000",
            "sentinel failover-timeout shop 5000",
            *lines,
        ]
        super().__init__(folder)

    def start(self) -> None:
        """Start the Sentinel with its configuration, which it writes itself afterwards."""
        path = self.folder / "sentinel.conf"
        lines = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}", *self._lines]
        if not path.exists():
            path.write_text("\n".join(lines) + "\n")
        self._launch([self._program, str(path), "--sentinel"])

    def master(self) -> int:
        """The port of the master, by the Sentinel's word."""
        return int(self.do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "shop")[1])
