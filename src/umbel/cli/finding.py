"""What one check of ``umbel doctor`` saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ("Finding",)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw."""

    check: str
    level: Literal["ok", "note", "problem"]
    text: str
