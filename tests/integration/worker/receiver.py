"""An HTTP server on loopback that keeps what it is sent and answers as it is told."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ("Heard", "Receiver", "Says")

Says = tuple[int, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Heard:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        heard = Heard(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        status, headers = self.server.says(heard)  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


class Receiver:
    """``says``: the answer to a request; 200 unless given."""

    def __init__(
        self, says: Callable[[Heard], Says] | None = None, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self._heard: list[Heard] = []
        self._says = says
        self._server: Any = ThreadingHTTPServer((host, 0), _Handler)
        self._server.says = self._answer
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _answer(self, heard: Heard) -> Says:
        said = (200, {}) if self._says is None else self._says(heard)
        self._heard.append(heard)
        return said

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def heard(self) -> list[Heard]:
        return list(self._heard)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
