"""Rollups know sums beside their histograms, and one row of each task and queue counts all that ever was.

What was counted before is in the new rows as far as days were kept; its sums of seconds were not known.

Revision ID: 0005
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

__all__ = ("down_revision", "revision", "upgrade")

revision: Final = "0005"
down_revision: Final = "0004"

_COUNTS: Final = ("queued", "succeeded", "failed", "retried", "cancelled", "expired", "interrupted")
_LENGTHS: Final = ("waited", "ran")
_SUMS: Final = ("waited_seconds", "ran_seconds")
_DAY: Final = 86_400


def upgrade() -> None:
    """Add the columns and the rows."""
    for name in _SUMS:
        op.add_column("umbel_rollups", sa.Column(name, sa.Double(), nullable=False, server_default="0"))
    rollups = sa.table("umbel_rollups", *map(sa.column, ("step", "start", "task", "queue", *_COUNTS, *_LENGTHS)))
    days = op.get_bind().execute(sa.select(rollups).where(rollups.c.step == _DAY)).mappings().all()
    totals: dict[tuple[int, int], dict[str, Any]] = {}
    for day in days:
        _add(totals.setdefault((day["task"], day["queue"]), {}), day)
    rows = [
        {"step": 0, "start": 0, "task": task, "queue": queue, **_as_text(total)}
        for (task, queue), total in totals.items()
    ]
    if rows:
        op.bulk_insert(rollups, rows)


def _add(total: dict[str, Any], day: Any) -> None:
    for name in _COUNTS:
        total[name] = total.get(name, 0) + day[name]
    for name in _LENGTHS:
        total[name] = _added(total.get(name, []), json.loads(day[name]))


def _added(one: Sequence[int], other: Sequence[int]) -> list[int]:
    longest = max(len(one), len(other))
    pairs = zip(*([*each, *[0] * (longest - len(each))] for each in (one, other)), strict=True)
    return [number + more for number, more in pairs]


def _as_text(total: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name in _LENGTHS else value for name, value in total.items()}
