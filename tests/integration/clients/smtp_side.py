"""A local SMTP server that answers with the code that a recipient asks for, and one that hangs up."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import IO, Any

from aiosmtpd.controller import Controller

from tests.conftest import free_port

__all__ = ("hanging_up", "smtp_side")


class _Codes:
    """``451@rcpt.example`` is answered with 451 to RCPT, ``552@data.example`` with 552 to DATA."""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        code, _, domain = address.partition("@")
        if domain == "rcpt.example":
            return f"{code} as asked"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        code, _, domain = envelope.rcpt_tos[0].partition("@")
        return f"{code} as asked" if domain == "data.example" else "250 OK"


@contextlib.contextmanager
def smtp_side() -> Iterator[int]:
    """Run it on a free port."""
    port = free_port()
    controller = Controller(_Codes(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


@contextlib.contextmanager
def hanging_up(greeting: bytes, command: bytes) -> Iterator[int]:
    """Greet, say yes to everything, and hang up at ``command``."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_serve, args=(server, greeting, command), daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def _serve(server: socket.socket, greeting: bytes, command: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            connection.sendall(greeting)
            with connection.makefile("rb") as lines:
                _converse(connection, lines, command)


def _converse(connection: socket.socket, lines: IO[bytes], command: bytes) -> None:
    reading_letter = False
    for line in lines:
        if line.upper().startswith(command):
            return
        if line.upper().startswith(b"DATA"):
            reading_letter = True
            connection.sendall(b"354 go\r\n")
        elif not reading_letter:
            connection.sendall(b"250 yes\r\n")
