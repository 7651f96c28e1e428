"""Ids of jobs that grow with time, in the form of a UUID of version 7 (RFC 9562).

Random ids make every insert and every lookup touch another page of an index; these keep to its end.
"""

from __future__ import annotations

import os
import time

__all__ = ("new_id",)


def new_id() -> str:
    """Return a new id: 48 bits of milliseconds, 74 random ones."""
    text = (int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-7{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"
