"""A Redis of the campaign's own that keeps a log of every write, behind a link that can be cut."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

import redis

from tests.chaos.account import tail
from tests.chaos.lasting_port import lasting_port
from tests.chaos.observer import Observer
from tests.chaos.proxy import Cut, Proxy
from tests.chaos.redis_view import RedisView

__all__ = ("RedisSite",)

_START_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.02


class RedisSite:
    """``redis-server`` with ``appendfsync always``, and the URL by which everybody but the judge reaches it."""

    def __init__(self, folder: Path, *, append: bool = True) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("redis-server is not installed: sh scripts/install-test-servers does it.")
        self._folder = folder / "redis"
        self._folder.mkdir()
        self.port: Final = lasting_port()
        self._command = [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        self._command += ["--appendonly", "yes" if append else "no", "--appendfsync", "always"]
        self._command += ["--dir", str(self._folder)]
        self._client = redis.Redis(port=self.port, socket_timeout=5.0, socket_connect_timeout=5.0)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        self.link: Final = Proxy(self.port)
        self.view: Final = RedisView(self.port)

    @property
    def broker(self) -> str:
        """The URL through the proxy."""
        return f"redis://127.0.0.1:{self.link.port}/0"

    @property
    def direct(self) -> str:
        """The URL past the proxy."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    def observe(self) -> Observer:
        """Begin to see every state that is written."""
        return Observer(self.port)

    def backlog(self) -> int:
        """Return how many messages nobody has fetched yet; none when the server cannot be asked."""
        try:
            return self.view.backlog()
        except redis.exceptions.RedisError:
            return 0

    def start(self) -> None:
        """Start the server and wait until it has read its log and answers."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = "\n".join(tail(self._folder / "server.log", 10))
                raise TimeoutError(f"redis-server did not come up: {said}")
            time.sleep(_LOOK_SECONDS)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            return bool(self._client.ping())
        return False

    def kill(self) -> None:
        """Kill the server where it stands."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def cut(self, kind: Cut) -> None:
        """Cut the link to it."""
        self.link.cut(kind)

    def mend(self) -> None:
        """Mend the link."""
        self.link.mend()

    def close(self) -> None:
        """End everything."""
        self.link.close()
        self.kill()
        self.view.close()
        self._client.close()
