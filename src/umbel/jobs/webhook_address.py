"""Where webhooks may go: public addresses, and what an operator has allowed (C37). Pure.

Who may choose a URL may choose one of our own network: a database, the cloud's metadata, this machine. Judged is not
the URL but each address that its name resolves to, where the connection is made (:mod:`umbel.jobs.webhook_http`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from umbel.errors import AddressRefused

__all__ = ("Allowed", "checked_url", "is_public", "shown_url")

_URL_MOST: Final = 2048
_SCHEMES: Final = ("http", "https")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: What is routed between networks at all; the rest of IPv6 is local, reserved, or a way to write something else.
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
#: IANA's registries of special addresses (RFC 6890), and tunnels: who is behind such an address is said inside of it.
#: Versions of Python differ in what they know of them.
_SPECIAL: Final[tuple[Network, ...]] = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
            *(
                "203.0.113.0/24",
                "224.0.0.0/4",
                "240.0.0.0/4",
                "168.63.129.16/32",
            ),  # the last is Azure's, for its own machines
            *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
        ),
    )
)
#: By these an IPv6 network reaches all of IPv4.
_TRANSLATED: Final = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """Whether ``address`` is somewhere on the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _TRANSLATED:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _UNICAST:
            return False
    return address.is_global and not any(address in network for network in _SPECIAL)


class Allowed:
    """Hosts, addresses and networks that may be reached although they are not public."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._networks: list[Network] = []
        self._hosts: set[str] = set()
        for name in names:
            try:
                self._networks.append(ipaddress.ip_network(name, strict=False))
            except ValueError:
                self._hosts.add(_bare(name))

    def judge(self, host: str, found: str) -> None:
        """Raise :exc:`AddressRefused` if ``found``, an address of ``host``, may not be reached."""
        if _bare(host) in self._hosts:
            return
        try:
            address = ipaddress.ip_address(found.partition("%")[0])
        except ValueError:
            raise AddressRefused(f"{host} has the address {found!r}, which is none.") from None
        if not is_public(address) and not self._has(address):
            raise AddressRefused(
                f"{host} is {found}, an address that is not public: nothing is sent there unless UMBEL_WEBHOOK_ALLOW "
                "names it, its network or its host."
            )

    def _has(self, address: Address) -> bool:
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any(one in network for network in self._networks for one in (address, mapped) if one is not None)


def checked_url(url: Any) -> str:
    """Return ``url`` if it is one that something can be sent to. Raises :exc:`AddressRefused`."""
    text = url if isinstance(url, str) else ""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(text) > _URL_MOST or not text.isascii() or not text.isprintable() or " " in text:
        raise AddressRefused(f"{str(url)[:80]!r} is no http: or https: URL that a webhook can be sent to.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("A webhook's URL has no user and password: its receiver checks the signature.")
    return text


def shown_url(url: str) -> str:
    """Return what may be logged of ``url``: its query may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _bare(host: str) -> str:
    return host.lower().rstrip(".").strip("[]")
