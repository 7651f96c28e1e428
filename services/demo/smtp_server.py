"""A real SMTP server for one machine, in a process of its own: it delivers everything to a :class:`Mailbox`.

    python -m services.demo.smtp_server FILE [PORT]

It prints its port as soon as it listens, and ends on SIGTERM.
"""

import asyncio
import signal
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from services.demo.mailbox import Mailbox

__all__ = ("serve",)


class _Deliver:
    """What aiosmtpd calls when a message is complete."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        self._mailbox.add(envelope.mail_from or "", envelope.rcpt_tos, content if isinstance(content, bytes) else b"")
        return "250 Delivered"


async def serve(mailbox: Mailbox, port: int = 0) -> None:
    """Take mails on this machine's ``port`` (a free one for 0) until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(
        lambda: SMTP(_Deliver(mailbox), hostname="localhost", ident="Umbel demo", loop=loop), "127.0.0.1", port
    )
    async with server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(Mailbox(Path(sys.argv[1])), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
