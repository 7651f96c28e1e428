"""Texts as every database takes them, and as they are kept: bounded, and marked where they were cut."""

from __future__ import annotations

from typing import Any, Final

__all__ = ("CUT", "clean", "head", "tail", "word")

#: Stands where something was cut off; no JSON ends or begins with it.
CUT: Final = "…"
_WORD_MOST: Final = 1000


def clean(text: str) -> str:
    """Return ``text`` without what PostgreSQL refuses: NUL and lone surrogates."""
    if text.isascii():
        return text.replace("\0", "\ufffd") if "\0" in text else text
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def word(value: Any) -> str | None:
    """Return a name or an id; None for what is none."""
    return clean(value[:_WORD_MOST]) if isinstance(value, str) and value else None


def head(text: str, most: int) -> str:
    """Return the beginning of ``text``, ``most`` characters."""
    return clean(text) if len(text) <= most else clean(text[: most - 1]) + CUT


def tail(text: str, most: int) -> str:
    """Return the end of ``text``, ``most`` characters."""
    return clean(text) if len(text) <= most else CUT + clean(text[1 - most :])
