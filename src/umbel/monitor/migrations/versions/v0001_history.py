"""The history as it began.

Revision ID: 0001
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from alembic import op

__all__ = ("down_revision", "revision", "upgrade")

revision: Final = "0001"
down_revision: Final = None

_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _jobs()
    _about_jobs()
    _sums()
    _bookkeeping()


def _jobs() -> None:
    op.create_table(
        "umbel_jobs",
        sa.Column("number", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("task", sa.Integer(), nullable=True),
        sa.Column("queue", sa.Integer(), nullable=True),
        sa.Column("worker", sa.Integer(), nullable=True),
        sa.Column("release", sa.Integer(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=False),
        sa.Column("message_at", sa.Double(), nullable=True),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=True),
        sa.Column("waited", sa.Double(), nullable=True),
        sa.Column("ran", sa.Double(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("told_attempts", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("replays", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("root_id", sa.Text(), nullable=True),
        sa.Column("group_id", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Text(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("progress", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("arguments", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("number"),
        sa.UniqueConstraint("task_id", name="umbel_jobs_task_id"),
    )
    _indexes()


def _indexes() -> None:
    op.create_index("umbel_jobs_batch", "umbel_jobs", ["batch_id", "number"], **_where("batch_id"))
    op.create_index("umbel_jobs_ended", "umbel_jobs", ["state", "ended_at"], **_where("ended_at"))
    op.create_index("umbel_jobs_fingerprint", "umbel_jobs", ["fingerprint", "number"], **_where("fingerprint"))
    op.create_index("umbel_jobs_group", "umbel_jobs", ["group_id", "number"], **_where("group_id"))
    op.create_index("umbel_jobs_owner", "umbel_jobs", ["owner", "number"], **_where("owner"))
    op.create_index("umbel_jobs_parent", "umbel_jobs", ["parent_id", "number"], **_where("parent_id"))
    op.create_index("umbel_jobs_queue", "umbel_jobs", ["queue", "number"])
    op.create_index("umbel_jobs_root", "umbel_jobs", ["root_id", "number"], **_where("root_id"))
    op.create_index("umbel_jobs_state", "umbel_jobs", ["state", "number"])
    op.create_index("umbel_jobs_task", "umbel_jobs", ["task", "number"])


def _about_jobs() -> None:
    op.create_table(
        "umbel_attempts",
        sa.Column("job", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("retries", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.Double(), nullable=True),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("ended_at", sa.Double(), nullable=False),
        sa.Column("worker", sa.Integer(), nullable=True),
        sa.Column("release", sa.Integer(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("job", "place", name="umbel_attempts_pkey"),
    )
    op.create_table(
        "umbel_tags",
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("job", _NUMBER, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tag", "job", name="umbel_tags_pkey"),
        sqlite_with_rowid=False,
    )
    op.create_index("umbel_tags_job", "umbel_tags", ["job"])
    op.create_table(
        "umbel_messages",
        sa.Column("job", _NUMBER, autoincrement=False, nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job"),
    )


def _sums() -> None:
    op.create_table(
        "umbel_rollups",
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("task", sa.Integer(), nullable=False),
        sa.Column("queue", sa.Integer(), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("succeeded", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("retried", sa.BigInteger(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=False),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("interrupted", sa.BigInteger(), nullable=False),
        sa.Column("waited", sa.Text(), nullable=False),
        sa.Column("ran", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("step", "start", "task", "queue", name="umbel_rollups_pkey"),
        sqlite_with_rowid=False,
    )


def _bookkeeping() -> None:
    op.create_table(
        "umbel_cursors",
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("written_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("store"),
    )
    op.create_table(
        "umbel_names",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("kind", "name", name="umbel_names_name"),
    )
    op.create_table(
        "umbel_numbers",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind"),
    )
    kinds = sa.table("umbel_numbers", sa.column("kind", sa.Text()), sa.column("last", sa.BigInteger()))
    op.bulk_insert(kinds, [{"kind": "job", "last": 0}, {"kind": "name", "last": 0}])


def _where(column: str) -> dict[str, Any]:
    there = sa.text(f"{column} IS NOT NULL")
    return {"sqlite_where": there, "postgresql_where": there}
