"""An SMTP server on loopback that fails on demand, at an exact place of the conversation."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FAULTS = (
    "greeting 421",
    "greeting 554",
    "drop at greeting",
    "silent at greeting",
    "sender 451",
    "recipient 451",
    "recipient 550",
    "data 452",
    "drop at data",
    "drop in body",
    "drop after end",
    "silent after end",
    "slow at end",
    "close after end",
    "end 451",
    "end 554",
)


@dataclass
class FaultySMTP:
    """What the server does and has seen. ``faults`` are used up one a connection or mail; then all is well."""

    faults: list[str] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def next_fault(self, *places: str) -> str:
        """Use up the next fault if it belongs to one of these places of the conversation."""
        if self.faults and self.faults[0].startswith(places):
            return self.faults.pop(0)
        return ""


@contextmanager
def serving(*faults: str) -> Iterator[FaultySMTP]:
    """Serve with these faults, the first first."""
    assert set(faults) <= set(FAULTS)
    state = FaultySMTP(list(faults))

    class Handler(_Conversation):
        smtp = state

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            state.released.set()
            server.shutdown()
            thread.join()


class _Drop(Exception):
    pass


class _Conversation(socketserver.StreamRequestHandler):
    smtp: FaultySMTP

    def handle(self) -> None:
        try:
            self._greet()
            while line := self.rfile.readline():
                self._answer(line.strip().upper())
        except (_Drop, ConnectionError, ValueError):
            return

    def finish(self) -> None:
        try:
            super().finish()
        except ConnectionError:
            return

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _greet(self) -> None:
        self.smtp.connections += 1
        fault = self.smtp.next_fault("greeting", "drop at greeting", "silent at greeting")
        self._break_off(fault)
        if fault:
            self._say(f"{fault.split()[1]} not now")
            raise _Drop
        self._say("220 ready")

    def _answer(self, line: bytes) -> None:
        if line.startswith((b"EHLO", b"HELO")):
            self._say("250 hello")
        elif line.startswith(b"MAIL"):
            self._say_or("250 OK", self.smtp.next_fault("sender"))
        elif line.startswith(b"RCPT"):
            self._say_or("250 OK", self.smtp.next_fault("recipient"))
        elif line.startswith(b"DATA"):
            self._take_data()
        elif line.startswith(b"QUIT"):
            self._say("221 bye")
            raise _Drop
        else:
            self._say("250 OK")

    def _say_or(self, text: str, fault: str) -> None:
        self._say(f"{fault.split()[1]} said the fault" if fault else text)

    def _take_data(self) -> None:
        fault = self.smtp.next_fault("data", "drop", "silent after", "slow", "close", "end")
        if fault == "drop at data":
            raise _Drop
        if fault.startswith("data"):
            self._say_or("", fault)
            return
        self._say("354 go on")
        if fault == "drop in body":
            self.rfile.readline()
            self.connection.shutdown(socket.SHUT_RDWR)
            raise _Drop
        body = b"".join(iter(self.rfile.readline, b".\r\n"))
        self._break_off(fault)
        if fault == "slow at end":
            self.smtp.released.wait(0.5)
        if fault.startswith("end"):
            self._say_or("", fault)
            return
        self.smtp.delivered.append(body)
        self._say("250 taken")
        if fault == "close after end":
            raise _Drop

    def _break_off(self, fault: str) -> None:
        if fault.startswith("silent"):
            self.smtp.released.wait(30)
        if fault.startswith(("silent", "drop")):
            raise _Drop
