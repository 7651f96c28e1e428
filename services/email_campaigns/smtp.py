"""One message to one server, with the truth about what became of it.

A connection is kept a thread and used again. What goes wrong is one of three things: it may be tried again, it never
will work, or nobody knows. The last is only possible between the end of the message and the server's answer, so the
end is sent on its own: a connection that breaks before it has delivered nothing (RFC 5321, section 4.1.1.4).
"""

import re
import smtplib
import socket
import ssl
import threading
from contextlib import suppress
from email.message import EmailMessage
from urllib.parse import SplitResult, unquote, urlsplit

from services.email_campaigns.settings import settings

__all__ = ("Refused", "TryLater", "Unanswered", "close", "deliver")

_LINE_WITH_DOT = re.compile(rb"(?m)^\.")
_OK, _START_INPUT = 250, 354
_kept = threading.local()


class TryLater(Exception):
    """The server was not reached, broke off, or answered 4xx; nothing was delivered."""


class Refused(Exception):
    """The server answered 5xx; asking again will not help."""


class Unanswered(Exception):
    """The whole message was handed over and no answer came: it may or may not be delivered."""


def deliver(message: EmailMessage) -> None:
    """Send the message to its one recipient.

    Raises :class:`TryLater`, :class:`Refused` or :class:`Unanswered`.
    """
    body = _LINE_WITH_DOT.sub(b"..", message.as_bytes())
    server = _begin(message["From"].addresses[0].addr_spec)
    try:
        _expect(server, server.rcpt(message["To"].addresses[0].addr_spec), _OK, 251)
        _expect(server, server.docmd("DATA"), _START_INPUT)
        server.send(body)
        server.send(b".\r\n")
    except (OSError, smtplib.SMTPException) as error:
        close()
        raise TryLater(f"The connection to the mail server broke before the message was complete: {error}") from error
    try:
        answer = server.getreply()
    except (OSError, smtplib.SMTPException) as error:
        close()
        raise Unanswered(f"The mail server took the message and did not answer: {error}") from error
    _expect(server, answer, _OK)


def close() -> None:
    """Drop this thread's connection, if it has one."""
    server: smtplib.SMTP | None = getattr(_kept, "server", None)
    _kept.server = None
    if server is not None:
        with suppress(OSError):
            server.close()


def _begin(sender: str) -> smtplib.SMTP:
    """Return a connection on which the server has taken the sender, the kept one while it lives."""
    kept: smtplib.SMTP | None = getattr(_kept, "server", None)
    if kept is not None:
        with suppress(OSError, smtplib.SMTPException):
            if kept.mail(sender)[0] == _OK:
                return kept
        close()
    try:
        _kept.server = server = _connect(settings().smtp_url.get_secret_value())
        answer = server.mail(sender)
    except smtplib.SMTPResponseException as error:
        close()
        raise _judged(error.smtp_code, error.smtp_error) from error
    except (OSError, smtplib.SMTPException) as error:
        close()
        raise TryLater(f"The mail server could not be reached: {error}") from error
    _expect(server, answer, _OK)
    return server


def _connect(url: str) -> smtplib.SMTP:
    parts = urlsplit(url)
    host, timeout = parts.hostname or "localhost", settings().smtp_timeout
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, parts.port or 465, timeout=timeout, context=ssl.create_default_context())
    else:
        server = smtplib.SMTP(host, parts.port or (587 if parts.scheme == "smtp+starttls" else 25), timeout=timeout)
    try:
        _greet(server, parts)
    except BaseException:
        server.close()
        raise
    return server


def _greet(server: smtplib.SMTP, parts: SplitResult) -> None:
    if server.sock is not None:  # else the end of a message would wait for the acknowledgement of its body
        server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme == "smtp+starttls":
        server.starttls(context=ssl.create_default_context())
    server.ehlo_or_helo_if_needed()
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))


def _expect(server: smtplib.SMTP, answer: tuple[int, bytes], *codes: int) -> None:
    """Raise what the server's answer means unless it is one of ``codes``; the connection stays usable."""
    code, text = answer
    if code in codes:
        return
    with suppress(OSError, smtplib.SMTPException):
        server.rset()
    raise _judged(code, text)


def _judged(code: int, text: bytes | str) -> TryLater | Refused:
    said = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    sentence = f"The mail server answered {code} {said}"[:500]
    return Refused(sentence) if 500 <= code < 600 else TryLater(sentence)
