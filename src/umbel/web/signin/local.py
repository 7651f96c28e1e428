"""This machine: who is let in where no sign-in is set up, and which addresses that may be served on (C44).

Only this machine is answered, and only under a loopback name, so that neither a page bound to the network by mistake
nor a foreign site that rebinds its name to 127.0.0.1 can read it, nor the script of one, whatever the application
around the dashboard lets others read; and not through a proxy, as far as one can be told: one on this machine that
hides whom it asks for looks like this machine, so whoever has a proxy sets a token.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.types import Scope

from umbel.errors import ConfigurationError
from umbel.monitor.actors import Actor, Role
from umbel.web.signin.authority import authority_of, host_name
from umbel.web.signin.tokens import Tokens

if TYPE_CHECKING:
    from umbel.settings import Settings

__all__ = ("LOCAL", "check_bind", "is_local", "is_loopback")

#: Whoever sits at this machine, where nothing tells one from another.
LOCAL: Final = Actor("local", Role.OPERATOR, "local")
_PROXY_HEADERS: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def check_bind(host: str, settings: Settings) -> None:
    """Refuse to serve the dashboard to the network without credentials.

    Raises :exc:`ConfigurationError` for a ``host`` that is not loopback where there is neither a token nor OpenID
    Connect, and for a token that is too short.
    """
    tokens = Tokens(settings.web_token, settings.web_viewer_token)
    if is_loopback(host) or tokens or settings.web_oidc_issuer:
        return
    raise ConfigurationError(
        f"The dashboard would be open to everybody on {host or 'all addresses'}: set UMBEL_WEB_TOKEN "
        "(python -c 'import secrets; print(secrets.token_urlsafe())' makes one), or bind to 127.0.0.1."
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


def is_local(scope: Scope) -> bool:
    """Tell whether a request came from this machine to this machine."""
    headers = Headers(scope=scope)
    client = scope.get("client")
    # Who comes by a Unix socket is most likely a proxy.
    if not client or not is_loopback(client[0] or ""):
        return False
    if _is_proxied(scope, headers) or _is_of_another_site(headers):
        return False
    return is_loopback(host_name(headers.get("host", "")))


def _is_of_another_site(headers: Headers) -> bool:
    """Tell whether a script or a form of a page from elsewhere asks."""
    origin = headers.get("origin")
    return origin is not None and not is_loopback(host_name(authority_of(origin)))


def _is_proxied(scope: Scope, headers: Headers) -> bool:
    """Tell whether somebody asks for somebody else, as far as that shows."""
    if any(name in headers for name in _PROXY_HEADERS):
        return True
    # What nginx speaks unless it is told otherwise, and no browser.
    if scope.get("http_version") == "1.0":
        return True
    # Our own page sent it, and its browser knows us by another name.
    ours = headers.get("origin") or headers.get("referer") or ""
    named_otherwise = bool(ours) and not is_loopback(host_name(authority_of(ours)))
    return named_otherwise and headers.get("sec-fetch-site") == "same-origin"
