"""This machine: who is let in where no sign-in is set up, and which addresses that may be served on (C44).

Only this machine is answered, and only under a loopback name, so that neither a page bound to the network by mistake
nor a foreign site that rebinds its name to 127.0.0.1 can be read; and not through a proxy that says so.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.types import Scope

from umbel.errors import ConfigurationError
from umbel.monitor.actors import Actor, Role
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
    # A Unix socket has no client address, and its file's mode is its guard.
    if client and client[0] and not is_loopback(client[0]):
        return False
    if any(name in headers for name in _PROXY_HEADERS):
        return False
    return is_loopback(_host_name(headers.get("host", "")))


def _host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without its port."""
    if host.startswith("["):
        return host[1 : host.find("]")]
    return host.rpartition(":")[0] if ":" in host else host
