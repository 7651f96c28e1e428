"""What an error of an HTTP or SMTP client says about trying again (C27).

Known are the errors of httpx, requests, smtplib, aiosmtplib, and those of a socket. None of these libraries is
imported here: who raises an error of theirs has it loaded. Three things can have happened:

- *refused*: nothing was done, and it may be done later (not connected, 429, 503, SMTP 4xx): try again;
- *unsure*: the answer never came, or tells nothing (a lost connection, a time-out, 500, 502, 504): the effect may be
  there, so only what may safely be done twice is tried again: an idempotent method (RFC 9110, section 9.2.2), a request
  with an ``Idempotency-Key``, or what is declared so;
- *denied*: the same request gets the same answer (other 4xx, SMTP 5xx): never.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from umbel.jobs.retry_after import retry_after

__all__ = ("Fault", "Outlook", "fault_of")

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_TRY_LATER: Final = frozenset({429, 503})

_REQUESTS_REFUSED: Final = ("ConnectTimeout", "ProxyError")
_REQUESTS_UNSURE: Final = ("HTTPError", "ConnectionError", "Timeout", "ChunkedEncodingError", "RetryError")
#: Of urllib3, which requests wraps: what went wrong before a request was sent.
_URLLIB3_REFUSED: Final = ("NewConnectionError", "ConnectTimeoutError", "ProxyError")
_SOCKET_REFUSED: Final = (ConnectionRefusedError, socket.gaierror)
_SOCKET_UNSURE: Final = (ConnectionError, TimeoutError)


class Outlook(StrEnum):
    """What became of a request, as far as its error tells."""

    REFUSED = "refused"
    UNSURE = "unsure"
    DENIED = "denied"


#: The first line that fits counts: a special case stands before what it is a case of.
_HTTPX: Final = (
    (("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"), Outlook.REFUSED),
    (("LocalProtocolError", "UnsupportedProtocol"), Outlook.DENIED),
    (("TransportError",), Outlook.UNSURE),
    (("HTTPError", "InvalidURL"), Outlook.DENIED),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What an error of a client says about trying again.

    ``library`` is ``httpx``, ``requests``, ``smtplib``, ``aiosmtplib`` or ``socket``; ``code`` the HTTP status or SMTP
    reply, if there was one; ``wait`` what the other side asked for (``Retry-After``), at most a day.
    """

    outlook: Outlook
    library: str
    idempotent: bool = False
    code: int | None = None
    wait: timedelta | None = None

    @property
    def passing(self) -> bool:
        """Whether trying again is safe and may help."""
        return self.outlook is Outlook.REFUSED or (self.outlook is Outlook.UNSURE and self.idempotent)


def fault_of(error: BaseException, *, idempotent: bool = False) -> Fault | None:
    """Return what ``error`` says about trying again; None if it is none of the errors that are known.

        try:
            client.post(url, json=order)
        except httpx.HTTPError as error:
            fault = fault_of(error)
            if fault is None or not fault.passing:
                raise

    ``idempotent``: what was asked for may be done twice, whatever its method.
    """
    for look in (_httpx, _requests, _smtp, _aiosmtp, _socket):
        fault = look(error, idempotent)
        if fault is not None:
            return fault
    return None


# -- HTTP -----------------------------------------------------------------------------------------------------


def _httpx(error: BaseException, declared: bool) -> Fault | None:
    httpx = sys.modules.get("httpx")
    outlook = next((outlook for names, outlook in _HTTPX if _is_any(error, httpx, names)), None)
    if httpx is None or outlook is None:
        return None
    safe = declared or _may_repeat(_request_of(error))
    if isinstance(error, httpx.HTTPStatusError):
        return _answered("httpx", error.response, safe)
    return Fault(outlook=outlook, library="httpx", idempotent=safe)


def _requests(error: BaseException, declared: bool) -> Fault | None:
    requests = sys.modules.get("requests.exceptions")
    if requests is None or not isinstance(error, requests.RequestException):
        return None
    answer = error.response
    safe = declared or _may_repeat(error.request if error.request is not None else getattr(answer, "request", None))
    if isinstance(error, requests.HTTPError) and answer is not None:
        return _answered("requests", answer, safe)
    outlook = Outlook.DENIED
    if _is_any(error, requests, _REQUESTS_REFUSED) or _never_connected(error):
        outlook = Outlook.REFUSED
    elif _is_any(error, requests, _REQUESTS_UNSURE):
        outlook = Outlook.UNSURE
    return Fault(outlook=outlook, library="requests", idempotent=safe)


def _answered(library: str, answer: Any, safe: bool) -> Fault:
    code = int(answer.status_code)
    if code in _TRY_LATER:
        outlook = Outlook.REFUSED
    elif code >= 500:
        outlook = Outlook.UNSURE
    else:
        outlook = Outlook.DENIED
    wait = retry_after(answer.headers.get("Retry-After")) if outlook is not Outlook.DENIED else None
    return Fault(outlook=outlook, library=library, idempotent=safe, code=code, wait=wait)


def _request_of(error: Any) -> Any:
    # httpx raises where an error was made without its request.
    try:
        return error.request
    except (AttributeError, RuntimeError):
        return None


def _may_repeat(request: Any) -> bool:
    if request is None:
        return False
    headers = getattr(request, "headers", None) or {}
    return str(request.method).upper() in _IDEMPOTENT or any(
        str(name).lower() == "idempotency-key" and bool(value) for name, value in headers.items()
    )


def _never_connected(error: BaseException) -> bool:
    cause = error.args[0] if error.args else None
    return _is_any(getattr(cause, "reason", cause), sys.modules.get("urllib3.exceptions"), _URLLIB3_REFUSED)


def _is_any(error: Any, module: Any, names: tuple[str, ...]) -> bool:
    return isinstance(error, tuple(cls for name in names if (cls := getattr(module, name, None)) is not None))


# -- SMTP and sockets -----------------------------------------------------------------------------------------


def _smtp(error: BaseException, declared: bool) -> Fault | None:
    smtplib = sys.modules.get("smtplib")
    if smtplib is None or not isinstance(error, smtplib.SMTPException):
        return None
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = [_code(answer[0]) for answer in error.recipients.values()]
        return _replied("smtplib", codes, declared)
    if isinstance(error, smtplib.SMTPResponseException):
        return _replied("smtplib", [_code(error.smtp_code)], declared)
    outlook = Outlook.UNSURE if isinstance(error, smtplib.SMTPServerDisconnected) else Outlook.DENIED
    return Fault(outlook=outlook, library="smtplib", idempotent=declared)


def _aiosmtp(error: BaseException, declared: bool) -> Fault | None:
    module = sys.modules.get("aiosmtplib.errors")
    if module is None or not isinstance(error, module.SMTPException):
        return None
    if isinstance(error, module.SMTPRecipientsRefused):
        return _replied("aiosmtplib", [_code(one.code) for one in error.recipients], declared)
    if isinstance(error, module.SMTPResponseException):
        return _replied("aiosmtplib", [_code(error.code)], declared)
    if isinstance(error, module.SMTPConnectError):
        outlook = Outlook.REFUSED
    elif _is_any(error, module, ("SMTPServerDisconnected", "SMTPTimeoutError")):
        outlook = Outlook.UNSURE
    else:
        outlook = Outlook.DENIED
    return Fault(outlook=outlook, library="aiosmtplib", idempotent=declared)


def _replied(library: str, codes: list[int], declared: bool) -> Fault:
    """Judge replies: with several recipients, of which all were refused, one that may be taken later is enough."""
    later = [code for code in codes if 400 <= code < 500]
    code = (later or codes or [0])[0]
    if later:
        outlook = Outlook.REFUSED
    elif 500 <= code < 600:
        outlook = Outlook.DENIED
    else:
        # -1: the connection broke where a reply was due.
        outlook = Outlook.UNSURE
    return Fault(outlook=outlook, library=library, idempotent=declared, code=code if code > 0 else None)


def _code(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _socket(error: BaseException, declared: bool) -> Fault | None:
    if isinstance(error, _SOCKET_REFUSED):
        return Fault(outlook=Outlook.REFUSED, library="socket", idempotent=declared)
    if isinstance(error, _SOCKET_UNSURE):
        return Fault(outlook=Outlook.UNSURE, library="socket", idempotent=declared)
    return None
