"""In whose line a message waits: its header ``umbel_share``, which goes with it through every store, retry and replay.

A message without it costs one search through its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

__all__ = ("SHARE", "share_in", "share_of")

#: The header.
SHARE: Final = "umbel_share"

_MARK: Final = f'"{SHARE}"'
_SAFE: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class _Headers(msgspec.Struct):
    umbel_share: Any = None


class _Envelope(msgspec.Struct):
    headers: _Headers


_decode: Final = msgspec.json.Decoder(_Envelope).decode


def share_of(payload: str) -> str:
    """Return in whose line the message ``payload`` waits; no text for one that waits in no line."""
    if _MARK not in payload:
        return ""
    try:
        return share_in({SHARE: _decode(payload).headers.umbel_share})
    except (msgspec.MsgspecError, UnicodeError):
        return ""


def share_in(headers: Mapping[str, Any]) -> str:
    """Return in whose line a message with ``headers`` waits; no text for one that waits in no line."""
    share = headers.get(SHARE)
    return share if isinstance(share, str) and _SAFE.fullmatch(share) else ""
