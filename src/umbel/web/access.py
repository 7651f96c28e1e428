"""Who may look at the pages: closed to the outside by default, one token opens them (C44).

Without a token only this machine is answered, and only under a loopback name, so that neither a page bound to the
network by mistake nor a foreign site that rebinds its name to 127.0.0.1 can be read.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("SECURITY_HEADERS", "Access", "SecurityHeaders", "check_bind", "is_loopback", "web_token")

_MIN_TOKEN: Final = 16
_OPEN_PATHS: Final = frozenset({"/healthz"})

#: Everything comes from this server; no frame, no form, no inline script or style.
SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def web_token(app: Umbel | None = None) -> str | None:
    """Return the token that opens the pages: the application's ``web_token``, else ``UMBEL_WEB_TOKEN``."""
    token = getattr(getattr(app, "settings", None), "web_token", None)
    if token is not None and hasattr(token, "get_secret_value"):
        token = token.get_secret_value()
    return str(token or os.environ.get("UMBEL_WEB_TOKEN", "")) or None


def check_bind(host: str, token: str | None = None) -> None:
    """Refuse to serve the pages to the network without credentials; ``token`` is ``UMBEL_WEB_TOKEN`` by default.

    Raises :class:`~umbel.errors.ConfigurationError` for a ``host`` that is not loopback when the token is missing or
    shorter than 16 characters.
    """
    if is_loopback(host):
        return
    token = web_token() if token is None else token
    if not token:
        raise ConfigurationError(
            f"The pages would be open to everybody on {host or 'all addresses'}: set UMBEL_WEB_TOKEN "
            "(python -c 'import secrets; print(secrets.token_urlsafe())' makes one), or bind to 127.0.0.1."
        )
    if len(token) < _MIN_TOKEN:
        raise ConfigurationError(
            f"UMBEL_WEB_TOKEN has {len(token)} characters, and {_MIN_TOKEN} are needed on an address that others reach."
        )


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` is this machine and nothing else; a name other than localhost is not trusted."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class Access:
    """Lets in who shows the token, as ``Bearer`` or as the password of ``Basic``; without a token, this machine."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._digest = _digest(token) if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._digest is None:
            return None if _is_local(scope, headers) else _refuse_stranger()
        # Mounted below a path of another application, the scope's path begins with that.
        if scope["path"].removeprefix(scope.get("root_path", "")) in _OPEN_PATHS:
            return None
        given = _given_token(headers.get("authorization", ""))
        # Digests have one length, so the comparison tells nothing about the token's.
        if given is not None and hmac.compare_digest(_digest(given), self._digest):
            return None
        return _ask_for_token()


class SecurityHeaders:
    """Adds :data:`SECURITY_HEADERS` to every answer, refusals and errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(SECURITY_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def _is_local(scope: Scope, headers: Headers) -> bool:
    client = scope.get("client")
    # A Unix socket has no client address, and its file's mode is its guard.
    if client and client[0] and not is_loopback(client[0]):
        return False
    return is_loopback(_host_name(headers.get("host", "")))


def _host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without its port."""
    if host.startswith("["):
        return host[1 : host.find("]")]
    return host.rpartition(":")[0] if ":" in host else host


def _given_token(authorization: str) -> str | None:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value.strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _refuse_stranger() -> Response:
    return PlainTextResponse(
        "This page is for its own machine only. To open it to others set UMBEL_WEB_TOKEN and start it again.\n", 403
    )


def _ask_for_token() -> Response:
    return PlainTextResponse(
        "This page needs the token of UMBEL_WEB_TOKEN: as the password, or as 'Authorization: Bearer TOKEN'.\n",
        401,
        {"WWW-Authenticate": 'Basic realm="Umbel", charset="UTF-8"'},
    )
