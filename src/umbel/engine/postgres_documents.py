"""Documents in PostgreSQL: bytes, and whether they were text."""

from __future__ import annotations

from typing import Any

__all__ = ("as_bytes", "as_stored")


def as_bytes(value: bytes | str) -> tuple[bytes, bool]:
    """Return a document as it is stored, and whether it is text."""
    return (value.encode(errors="surrogatepass"), True) if isinstance(value, str) else (value, False)


def as_stored(value: Any, is_text: bool) -> bytes | str:
    """Return a document as it was given."""
    return bytes(value).decode(errors="surrogatepass") if is_text else bytes(value)
