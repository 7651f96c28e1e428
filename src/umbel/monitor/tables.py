"""The tables of the history, for SQLite and PostgreSQL.

Times are unix seconds and durations are seconds, as doubles, as they are everywhere in Umbel: exact to a microsecond
for a century. A job has one row for its whole life, whatever its number of attempts; a success is told in that row
alone, so that most jobs cost one insert. The wide columns stand last: a page without them does not read them.

A job's number grows in the order in which jobs were first heard of, and pages are cut by it. There are no foreign keys:
one process writes at a time, and what retention deletes, it deletes whole.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, SmallInteger, Table, Text
from sqlalchemy.schema import PrimaryKeyConstraint, UniqueConstraint

__all__ = (
    "ATTEMPTS",
    "AUDIT",
    "CANARIES",
    "CURSORS",
    "ENDED_SESSIONS",
    "INCIDENTS",
    "JOBS",
    "LINES",
    "MESSAGES",
    "METADATA",
    "NAMES",
    "NOTICES",
    "NUMBERS",
    "RELEASES",
    "ROLLUPS",
    "TAGS",
    "VERSION_TABLE",
)

METADATA: Final = MetaData()
#: Where Alembic keeps which migrations have been run; the name leaves room for the application's own.
VERSION_TABLE: Final = "umbel_history_version"
#: On SQLite this very type makes a column the row's own number.
_NUMBER: Final = BigInteger().with_variant(Integer(), "sqlite")


def _number(name: str, **options: Any) -> Column[int]:
    return Column(name, _NUMBER, autoincrement=False, **options)


JOBS: Final = Table(
    "umbel_jobs",
    METADATA,
    _number("number", primary_key=True),
    Column("task_id", Text, nullable=False),
    # Of umbel_names; NULL as long as nothing has told it.
    Column("task", Integer),
    Column("queue", Integer),
    Column("worker", Integer),
    Column("release", Integer),
    # A word of JobState.
    Column("state", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    # When it was dispatched first.
    Column("queued_at", Double, nullable=False),
    # When its present message was queued, and when that is due if that is later.
    Column("message_at", Double),
    Column("due_at", Double),
    # Of its last execution.
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("waited", Double),
    Column("ran", Double),
    # Executions that count as tries: one that was interrupted is none.
    Column("attempts", Integer, nullable=False),
    # How many rows it has in umbel_attempts.
    Column("told_attempts", Integer, nullable=False),
    # Tries before its present message, or its last execution.
    Column("retries", Integer, nullable=False),
    Column("replays", Integer, nullable=False),
    Column("owner", Text),
    Column("parent_id", Text),
    # NULL for what is the root itself.
    Column("root_id", Text),
    Column("group_id", Text),
    Column("batch_id", Text),
    Column("fingerprint", Text),
    Column("error_type", Text),
    # Of JSON: done, total, message.
    Column("progress", Text),
    Column("error_message", Text),
    # JSON: a list of the positional ones and an object of the named ones. What was cut ends with an ellipsis.
    Column("arguments", Text),
    Column("result", Text),
    UniqueConstraint("task_id", name="umbel_jobs_task_id"),
)
_J = JOBS.c
Index("umbel_jobs_state", _J.state, _J.number)
Index("umbel_jobs_task", _J.task, _J.number)
Index("umbel_jobs_queue", _J.queue, _J.number)


def _partial(name: str, column: Column[Any], *columns: Column[Any]) -> None:
    """Add an index that costs nothing for the rows whose ``column`` is empty."""
    there = column.is_not(None)
    Index(name, *(columns or (column, _J.number)), sqlite_where=there, postgresql_where=there)


_partial("umbel_jobs_ended", _J.ended_at, _J.state, _J.ended_at)
_partial("umbel_jobs_owner", _J.owner)
_partial("umbel_jobs_parent", _J.parent_id)
_partial("umbel_jobs_root", _J.root_id)
_partial("umbel_jobs_group", _J.group_id)
_partial("umbel_jobs_batch", _J.batch_id)
_partial("umbel_jobs_fingerprint", _J.fingerprint)

#: Executions; that of a job which succeeded is in the job's own row until the job goes on after it.
ATTEMPTS: Final = Table(
    "umbel_attempts",
    METADATA,
    _number("job", nullable=False),
    Column("place", Integer, nullable=False),
    Column("retries", Integer, nullable=False),
    # A word of JobState, or "interrupted" or "deferred".
    Column("state", Text, nullable=False),
    Column("queued_at", Double),
    Column("started_at", Double),
    Column("ended_at", Double, nullable=False),
    Column("worker", Integer),
    Column("release", Integer),
    Column("error_type", Text),
    Column("error_message", Text),
    Column("traceback", Text),
    PrimaryKeyConstraint("job", "place", name="umbel_attempts_pkey"),
)

TAGS: Final = Table(
    "umbel_tags",
    METADATA,
    Column("tag", Text, nullable=False),
    _number("job", nullable=False),
    PrimaryKeyConstraint("tag", "job", name="umbel_tags_pkey"),
    sqlite_with_rowid=False,
)
Index("umbel_tags_job", TAGS.c.job)

#: The envelopes of jobs that have not ended well, so that a lost one can be put back and a failed one run again.
MESSAGES: Final = Table(
    "umbel_messages",
    METADATA,
    _number("job", primary_key=True),
    Column("payload", Text, nullable=False),
)

#: What one execution has logged: its lines as JSON, [at, level, logger, text] each, of which ``dropped`` are missing
#: after the first ``head``.
LINES: Final = Table(
    "umbel_lines",
    METADATA,
    _number("job", nullable=False),
    Column("ended_at", Double, nullable=False),
    Column("retries", Integer, nullable=False),
    Column("head", Integer, nullable=False),
    Column("dropped", Integer, nullable=False),
    Column("lines", Text, nullable=False),
    PrimaryKeyConstraint("job", "ended_at", name="umbel_lines_pkey"),
)

#: How far the events of each store have been written.
CURSORS: Final = Table(
    "umbel_cursors",
    METADATA,
    Column("store", Text, primary_key=True),
    Column("position", Text, nullable=False),
    Column("written_at", Double, nullable=False),
)

#: What ended in one minute, hour or day. An empty text stands for a task or a queue that nothing has told.
ROLLUPS: Final = Table(
    "umbel_rollups",
    METADATA,
    # Seconds: 60, 3600, 86400; 0 is all that ever was, which starts at 0 and is never dropped.
    Column("step", Integer, nullable=False),
    # Unix seconds, a multiple of the step.
    Column("start", BigInteger, nullable=False),
    Column("task", Integer, nullable=False),
    Column("queue", Integer, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("succeeded", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("retried", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("interrupted", BigInteger, nullable=False),
    # JSON: how many fell into each of the fixed buckets, without the empty ones at the end.
    Column("waited", Text, nullable=False),
    Column("ran", Text, nullable=False),
    # The same added up, in seconds.
    Column("waited_seconds", Double, nullable=False, server_default="0"),
    Column("ran_seconds", Double, nullable=False, server_default="0"),
    PrimaryKeyConstraint("step", "start", "task", "queue", name="umbel_rollups_pkey"),
    sqlite_with_rowid=False,
)

#: Who did what: entries are only ever added.
AUDIT: Final = Table(
    "umbel_audit",
    METADATA,
    _number("number", primary_key=True),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", Text, nullable=False),
    # JSON.
    Column("detail", Text),
    Column("outcome", Text, nullable=False),
)
Index("umbel_audit_at", AUDIT.c.at)

#: Replays with care, and how far each is: whoever finds one that nobody goes on with goes on.
CANARIES: Final = Table(
    "umbel_canaries",
    METADATA,
    Column("id", Text, primary_key=True),
    # The name of the store whose letters those are.
    Column("store", Text, nullable=False),
    Column("began", Double, nullable=False),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("via", Text, nullable=False),
    # The filter in words, and how many fitted.
    Column("words", Text, nullable=False),
    Column("previewed", Integer, nullable=False),
    # JSON: umbel.jobs.canary.CanaryPlan.
    Column("plan", Text, nullable=False),
    Column("stop", Boolean, nullable=False),
    # Who goes on with it, and when that was heard of last.
    Column("runner", Text, nullable=False),
    Column("beat", Double, nullable=False),
    Column("ended", Double),
    Column("outcome", Text),
    Column("untouched", Integer),
)
Index("umbel_canaries_began", CANARIES.c.began)

#: Which sessions of the dashboard are over before their time: those of a key that began no later than ``at``.
ENDED_SESSIONS: Final = Table(
    "umbel_ended_sessions",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("at", Double, nullable=False),
    # When they would be over anyway.
    Column("until", Double, nullable=False),
)

#: Of tasks, queues, workers and releases.
NAMES: Final = Table(
    "umbel_names",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),
    UniqueConstraint("kind", "name", name="umbel_names_name"),
)

#: From when on, and until when at least, jobs of a release ended.
RELEASES: Final = Table(
    "umbel_releases",
    METADATA,
    Column("since", Double, nullable=False),
    Column("release", Integer, nullable=False),
    Column("until", Double, nullable=False),
    PrimaryKeyConstraint("since", "release", name="umbel_releases_pkey"),
)
Index("umbel_releases_release", RELEASES.c.release, RELEASES.c.since)

#: The last number that was given to a job, a name, or an entry of the audit log: no number is given twice.
NUMBERS: Final = Table(
    "umbel_numbers",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)

#: How many jobs carry each fingerprint: those that have failed, or are retrying, alike.
FAILURES: Final = Table(
    "umbel_failures",
    METADATA,
    Column("fingerprint", Text, primary_key=True),
    Column("jobs", BigInteger, nullable=False),
)

#: What somebody should know, from when it began until it was over: one row that has not ended for a store and subject.
INCIDENTS: Final = Table(
    "umbel_incidents",
    METADATA,
    _number("number", primary_key=True),
    # Where it is: the store's own name.
    Column("store", Text, nullable=False),
    Column("rule", Text, nullable=False),
    # What it is about: a queue, a task, a kind of failure.
    Column("subject", Text, nullable=False),
    Column("summary", Text, nullable=False),
    Column("opened_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("acknowledged_at", Double),
    Column("acknowledged_by", Text),
)
_I = INCIDENTS.c
Index(
    "umbel_incidents_open",
    _I.store,
    _I.rule,
    _I.subject,
    unique=True,
    sqlite_where=_I.ended_at.is_(None),
    postgresql_where=_I.ended_at.is_(None),
)

#: What is to be told of incidents by each channel. One that is claimed and has no word of its end may have been told.
NOTICES: Final = Table(
    "umbel_notices",
    METADATA,
    _number("number", primary_key=True),
    _number("incident", nullable=False),
    # "opened" or "ended".
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("due_at", Double, nullable=False),
    # Tries that were known to fail, and those of which nobody knows.
    Column("failures", Integer, nullable=False),
    Column("unsure", Integer, nullable=False),
    Column("claim", Text),
    Column("claimed_at", Double),
    # When it was told, or given up: what is left to do has none.
    Column("done_at", Double),
    Column("error", Text),
)
_LEFT = NOTICES.c.done_at.is_(None)
Index("umbel_notices_left", NOTICES.c.channel, NOTICES.c.number, sqlite_where=_LEFT, postgresql_where=_LEFT)
Index("umbel_notices_incident", NOTICES.c.incident)
