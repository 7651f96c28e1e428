"""The host, with its port, in what a request says of itself."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

__all__ = ("authority_of", "host_name")

_PORT: Final = re.compile(r"(:[0-9]*)?")


def authority_of(address: str) -> str:
    """Return ``host:port`` of an address, in small letters; ``?``, which is no host, for what is none."""
    try:
        return urlsplit(address).netloc.lower() or "?"
    except ValueError:
        return "?"


def host_name(authority: str) -> str:
    """Return the name in ``host:port``; ``?`` for what is no such thing."""
    if authority.startswith("["):
        name, _, rest = authority[1:].partition("]")
    else:
        name, colon, port = authority.partition(":")
        rest = colon + port
    return name if _PORT.fullmatch(rest) else "?"
