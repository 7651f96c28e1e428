"""Cursors: where the next page of a list begins, as a text that means nothing to others and gives nothing away."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from umbel.web.problems import Problem

__all__ = ("cursor_of", "number_in")

_NUMBER_MOST: Final = 2**63 - 1


def cursor_of(kind: str, number: int | None) -> str | None:
    """Return the cursor of a list of ``kind`` that goes on below ``number``; None when it is at its end."""
    if number is None:
        return None
    return base64.urlsafe_b64encode(f"{kind}:{number}".encode()).decode().rstrip("=")


def number_in(kind: str, cursor: str | None) -> int | None:
    """Return the number in a cursor; None without one. Raises a :exc:`Problem` for one that is not of ``kind``."""
    if cursor is None:
        return None
    try:
        found, _, number = base64.b64decode(f"{cursor}{'=' * (-len(cursor) % 4)}", b"-_", validate=True).partition(b":")
    except (binascii.Error, ValueError):
        raise _foreign() from None
    if found != kind.encode() or not number.isdigit() or len(number) > 19 or int(number) > _NUMBER_MOST:
        raise _foreign()
    return int(number)


def _foreign() -> Problem:
    return Problem(400, "invalid-cursor", "This is no cursor of this list: begin again without one.")
