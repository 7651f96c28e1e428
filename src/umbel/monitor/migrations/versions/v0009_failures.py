"""How many jobs have failed alike, counted out of the jobs that are there.

Revision ID: 0009
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

__all__ = ("down_revision", "revision", "upgrade")

revision: Final = "0009"
down_revision: Final = "0008"


def upgrade() -> None:
    """Make the table, and fill it."""
    op.create_table(
        "umbel_failures",
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    op.execute(
        "INSERT INTO umbel_failures (fingerprint, jobs) SELECT fingerprint, count(*) FROM umbel_jobs "
        "WHERE fingerprint IS NOT NULL GROUP BY fingerprint"
    )
