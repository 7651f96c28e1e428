"""Incidents, and what is told of them.

Revision ID: 0006
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

__all__ = ("down_revision", "revision", "upgrade")

revision: Final = "0006"
down_revision: Final = "0005"

_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "umbel_incidents",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.Double(), nullable=False),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("acknowledged_at", sa.Double(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    subject = ["store", "rule", "subject"]
    op.create_index("umbel_incidents_open", "umbel_incidents", subject, unique=True, **_where("ended_at"))
    op.create_table(
        "umbel_notices",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("incident", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("unsure", sa.Integer(), nullable=False),
        sa.Column("claim", sa.Text(), nullable=True),
        sa.Column("claimed_at", sa.Double(), nullable=True),
        sa.Column("done_at", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("umbel_notices_left", "umbel_notices", ["channel", "number"], **_where("done_at"))
    op.create_index("umbel_notices_incident", "umbel_notices", ["incident"])
    kinds = sa.table("umbel_numbers", sa.column("kind", sa.Text()), sa.column("last", sa.BigInteger()))
    op.bulk_insert(kinds, [{"kind": "incident", "last": 0}, {"kind": "notice", "last": 0}])


def _where(column: str) -> dict[str, Any]:
    missing = sa.text(f"{column} IS NULL")
    return {"sqlite_where": missing, "postgresql_where": missing}
