"""A mail server on loopback that keeps what it is sent, refuses it, or says nothing after it has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller

from tests.conftest import free_port

__all__ = ("Mailbox", "mailbox")


class Mailbox:
    """``says``: the answer to a message."""

    def __init__(self) -> None:
        self.port = free_port()
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.says = "250 OK"
        self.hangs_up = False

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.says.startswith("2"):
            found = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(found, EmailMessage)
            self.messages.append(found)
            self.recipients.append(list(envelope.rcpt_tos))
        if self.hangs_up:
            server.transport.abort()
            await asyncio.sleep(0)
        return self.says


@contextlib.contextmanager
def mailbox(port: int | None = None) -> Iterator[Mailbox]:
    """Run it."""
    box = Mailbox()
    box.port = port or box.port
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
