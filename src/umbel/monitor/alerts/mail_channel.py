"""Alerts by e-mail: one message to all recipients, by SMTP.

``smtp://`` uses STARTTLS where the server offers it, and never logs in without it; ``smtps://`` begins with TLS.
The ``Message-ID`` is the same when one is told again.
"""

from __future__ import annotations

import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from umbel.errors import ConfigurationError
from umbel.monitor.alerts.channels import Untold, sentence
from umbel.monitor.alerts.incidents import ENDED
from umbel.plain_text import one_line

if TYPE_CHECKING:
    from umbel.monitor.alerts.notices import Notice
    from umbel.monitor.alerts.plan import Mail

__all__ = ("MailChannel",)

_TIMEOUT: Final = 15.0
_PORTS: Final = {"smtp": 25, "smtps": 465}
_SUBJECT_MOST: Final = 150


class MailChannel:
    """One server and its recipients. Raises :exc:`ConfigurationError` for a URL that is none."""

    name: Final = "email"

    def __init__(self, plan: Mail, app: str) -> None:
        try:
            parts = urlsplit(plan.url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ConfigurationError(
                "UMBEL_ALERT_SMTP_URL is no server's URL: write smtp://user:password@mail.example.org:587, or smtps://."
            )
        self._secure: Final = parts.scheme == "smtps"
        self._host: Final[str] = parts.hostname
        self._port: Final = port or _PORTS[parts.scheme]
        self._login: Final = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._plan: Final = plan
        self._app: Final = app

    def tell(self, notice: Notice) -> None:
        """Send it. Raises :exc:`Untold`."""
        message = _message(notice, self._plan, self._app)
        try:
            with self._session() as session:
                self._send(session, message)
        except (smtplib.SMTPException, OSError) as error:
            raise Untold(f"{type(error).__name__}: {_said(error)}") from error

    def _send(self, session: smtplib.SMTP, message: EmailMessage) -> None:
        try:
            session.send_message(message)
        except (smtplib.SMTPServerDisconnected, TimeoutError, ConnectionError) as error:
            # The server may have taken it.
            raise Untold(f"{type(error).__name__}: no answer", unsure=True) from error

    @contextlib.contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context()
        session: smtplib.SMTP
        if self._secure:
            session = smtplib.SMTP_SSL(self._host, self._port, timeout=_TIMEOUT, context=context)
        else:
            session = smtplib.SMTP(self._host, self._port, timeout=_TIMEOUT)
        try:
            session.ehlo()
            if not self._secure and session.has_extn("starttls"):
                session.starttls(context=context)
                session.ehlo()
            elif not self._secure and self._login:
                raise Untold("the server offers no STARTTLS, and a password is not sent without it")
            if self._login:
                session.login(*self._login)
            yield session
        finally:
            # Whatever the server says to that, the message was taken or not.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                session.quit()
            session.close()


def _message(notice: Notice, plan: Mail, app: str) -> EmailMessage:
    incident = notice.incident
    message = EmailMessage()
    over = "Over: " if notice.kind == ENDED else ""
    message["Subject"] = f"[{one_line(app) or 'umbel'}] {over}{incident.rule} {one_line(incident.subject)}"[
        :_SUBJECT_MOST
    ]
    message["From"] = plan.sender
    message["To"] = ", ".join(plan.recipients)
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = f"<{''.join(filter(_is_plain, notice.id))}@umbel.invalid>"
    # Nobody's holiday is to answer.
    message["Auto-Submitted"] = "auto-generated"
    lines = [sentence(notice), "", f"Alert {incident.number}, since {_moment(incident.opened_at)}."]
    if incident.ended_at is not None:
        lines.append(f"It ended at {_moment(incident.ended_at)}.")
    else:
        lines.append(f"'umbel alerts ack {incident.number}' tells others that you look after it.")
    message.set_content("\n".join(lines) + "\n")
    return message


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
        return f"{error.smtp_code} {text}"[:300]
    return str(error)[:300]


def _is_plain(letter: str) -> bool:
    return letter.isascii() and (letter.isalnum() or letter in "-.")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
