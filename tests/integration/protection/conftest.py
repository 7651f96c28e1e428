"""A store of which every byte is looked at: a file, or a Redis that writes all it is told into a log."""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.on_redis.server import Server
from tests.integration.protection.guarded import build
from tests.integration.worker.plant import Plant, Worker, planted
from umbel import Umbel
from umbel.engine.keyring import Keyring

__all__ = ("Site",)

APP = "tests.integration.protection.worker:app"


class Site:
    """A store, its workers and its clients, all with the same keys unless told otherwise."""

    def __init__(self, plant: Plant, keys: str | None = None) -> None:
        self.plant = plant
        self.keys = keys or Keyring.fresh("first")
        self._clients: list[Umbel] = []

    def client(self, **settings: Any) -> Umbel:
        app = build(broker_url=self.plant.url, **{"payload_keys": self.keys, **settings})
        self._clients.append(app)
        return app

    def start(self, *arguments: str, pool: str = "default", **settings: str) -> Worker:
        extra = {"UMBEL_PAYLOAD_KEYS": self.keys, "UMBEL_POOL": pool, **settings}
        return self.plant.start(*arguments, app=APP, **extra)

    def traces(self, *secrets: str) -> list[str]:
        """The files of the store, the logs and whatever was recorded in which one of ``secrets`` can be read."""
        forms = [form for secret in secrets for form in _forms(secret)]
        files = [path for path in self.plant.folder.rglob("*") if path.is_file()]
        return [str(path) for path in files if any(form in path.read_bytes() for form in forms)]

    def close(self) -> None:
        for app in self._clients:
            app.close()


def _forms(secret: str) -> Iterator[bytes]:
    yield secret.encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).decode()
        # Without what depends on its neighbours.
        yield encoded[4:-4].encode()


@pytest.fixture(params=["sqlite", "redis"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "plant"
    folder.mkdir()
    if request.param == "sqlite":
        with planted(folder) as plant:
            yield from _closed(Site(plant))
        return
    options = {"appendonly": "yes", "aof-use-rdb-preamble": "no", "appendfsync": "always"}
    with (
        Server(folder / "redis", **options) as server,
        planted(folder, server.url) as plant,
        _recorded(server, folder / "monitor"),
    ):
        yield from _closed(Site(plant))


def _closed(site: Site) -> Iterator[Site]:
    try:
        yield site
    finally:
        site.close()


class _recorded:
    """Writes whatever a Redis is told, broadcasts included, into a file."""

    def __init__(self, server: Server, path: Path) -> None:
        self._socket = socket.create_connection(("127.0.0.1", server.port))
        self._thread = threading.Thread(target=self._record, args=(path,), daemon=True)

    def _record(self, path: Path) -> None:
        # A server that is killed ends it too.
        with path.open("wb", buffering=0) as file, contextlib.suppress(ConnectionError):
            while data := self._socket.recv(1 << 16):
                file.write(data)

    def __enter__(self) -> None:
        self._socket.sendall(b"MONITOR\r\n")
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._socket.close()
