"""The host, with its port, in what a request says of itself."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ("authority_of", "host_name")


def authority_of(address: str) -> str:
    """Return ``host:port`` of an address, in small letters; ``?``, which is no host, for what is none."""
    try:
        return urlsplit(address).netloc.lower() or "?"
    except ValueError:
        return "?"


def host_name(authority: str) -> str:
    """Return the name in ``host:port``."""
    if authority.startswith("["):
        return authority[1 : authority.find("]")]
    return authority.rpartition(":")[0] if ":" in authority else authority
