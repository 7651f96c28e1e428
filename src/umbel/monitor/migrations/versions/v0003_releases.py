"""When releases came to work.

Revision ID: 0003
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

__all__ = ("down_revision", "revision", "upgrade")

revision: Final = "0003"
down_revision: Final = "0002"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "umbel_releases",
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("until", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("since", "release", name="umbel_releases_pkey"),
    )
    op.create_index("umbel_releases_release", "umbel_releases", ["release", "since"])
