"""What the worker processes load with ``-A``."""

from __future__ import annotations

from tests.integration.protection.guarded import build

__all__ = ("app",)

app = build()
