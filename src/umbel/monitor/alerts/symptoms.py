"""What is wrong now: one look at the store and the history, by each rule. Changes nothing.

Costs a few reads. Of each rule twenty subjects at most are alerts of their own, the worst; the last one says how many
more there are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select

from umbel.engine.letters import LetterFilter
from umbel.engine.store import Engine, QueueStatus
from umbel.monitor.alerts.plan import Plan
from umbel.monitor.alerts.rhythm import Rhythm
from umbel.monitor.charts import Charts
from umbel.monitor.database import Database
from umbel.monitor.names import Names
from umbel.monitor.tables import JOBS
from umbel.monitor.texts import head
from umbel.plain_text import one_line
from umbel.states import JobState

__all__ = ("Rule", "Symptom", "look")

_SUBJECTS_MOST: Final = 20
_SUBJECT_MOST: Final = 300
_SUMMARY_MOST: Final = 1000
_FAILURES_MOST: Final = 5000
_LETTERS_MOST: Final = 200
#: A scheduler may be so late, in seconds: a new leader is found in fifteen.
_LATE: Final = 60.0
_MINUTE: Final = 60
#: Where the store does not tell how long jobs wait, those count that began within so long.
_LATELY: Final = 5 * _MINUTE


class Rule(StrEnum):
    """What can be wrong."""

    FAILURES = "failures"
    DEAD_LETTERS = "dead-letters"
    QUEUE_WAIT = "queue-wait"
    NO_CONSUMER = "no-consumer"
    SCHEDULER = "scheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """One thing that is wrong. ``subject`` is what stays the same as long as it is this thing."""

    rule: Rule
    subject: str
    #: One sentence, one line. No argument, and nothing that a job said, is in it.
    summary: str


def look(engine: Engine, database: Database, plan: Plan, *, since: float, seen: Mapping[str, float]) -> list[Symptom]:
    """Return what is wrong.

    ``since``: what happened from then on counts, in unix seconds. ``seen``: when each entry of the schedule was first
    heard of, for those that have never run. Raises a :exc:`StoreError`.
    """
    queues = engine.queues()
    return [
        *_bounded(Rule.FAILURES, _failures(database, plan, since)),
        *_bounded(Rule.DEAD_LETTERS, _dead_letters(engine, plan, since)),
        *_bounded(Rule.QUEUE_WAIT, _waits(engine, database, plan, queues)),
        *_bounded(Rule.NO_CONSUMER, _unserved(queues)),
        *_silent(plan.rhythm, engine.last_ticks(), seen, plan.app),
    ]


def _bounded(rule: Rule, found: Iterable[tuple[float, str, str]]) -> Iterator[Symptom]:
    """Yield the worst of ``found``: each how bad it is, its subject and its summary."""
    worst = sorted(found, key=lambda one: (-one[0], one[1]))
    for _, subject, summary in worst[:_SUBJECTS_MOST]:
        yield _symptom(rule, subject, summary)
    more = len(worst) - _SUBJECTS_MOST
    if more > 0:
        yield _symptom(rule, "(more)", f"The same is so of {more} more.")


def _symptom(rule: Rule, subject: str, summary: str) -> Symptom:
    return Symptom(rule=rule, subject=head(subject, _SUBJECT_MOST), summary=head(one_line(summary), _SUMMARY_MOST))


def _failures(database: Database, plan: Plan, since: float) -> Iterator[tuple[float, str, str]]:
    columns = (JOBS.c.fingerprint, JOBS.c.task, JOBS.c.error_type)
    failed = (JOBS.c.state == JobState.FAILED.value) & (JOBS.c.ended_at >= since)
    newest = select(*columns).where(failed).order_by(JOBS.c.ended_at.desc()).limit(_FAILURES_MOST)
    counts: Counter[tuple[Any, ...]] = Counter()
    about: dict[tuple[Any, ...], tuple[str, str]] = {}
    with database.reading() as connection:
        names = Names()
        for mark, task, error in connection.execute(newest).all():
            # What never ran has no fingerprint.
            key = (mark, None if mark else task)
            counts[key] += 1
            about.setdefault(key, (names.name(connection, task) or "an unknown task", error or "no exception"))
    for key, count in counts.items():
        if count >= plan.thresholds.failures:
            task, error = about[key]
            said = f"{_at_least(count, _FAILURES_MOST)} jobs failed alike ({error}), the last one of {task}."
            yield count, f"{key[0] or task}", said


def _dead_letters(engine: Engine, plan: Plan, since: float) -> Iterator[tuple[float, str, str]]:
    newest = engine.letters.find(limit=1)
    if not newest or newest[0].died < since:
        # A store may have to look at all of them for those that fit.
        return
    letters = engine.letters.find(LetterFilter(since=since), limit=_LETTERS_MOST)
    by_task: dict[str, list[str]] = {}
    for letter in letters:
        by_task.setdefault(letter.task or "an unknown task", []).append(letter.exception or _cause(letter.reason))
    for task, causes in by_task.items():
        if len(causes) >= plan.thresholds.dead_letters:
            what = "job is a dead letter" if len(causes) == 1 else "jobs are dead letters"
            count = _at_least(len(causes), _LETTERS_MOST)
            yield len(causes), task, f"{count} {what} of {task}: {', '.join(sorted(set(causes))[:5])}."


def _cause(reason: str) -> str:
    """Return what a letter's reason begins with: what follows may be a job's own words."""
    return reason.partition(":")[0][:80]


def _waits(
    engine: Engine, database: Database, plan: Plan, queues: Iterable[QueueStatus]
) -> Iterator[tuple[float, str, str]]:
    live = engine.names.waits()
    for one in queues:
        limit = plan.thresholds.wait_of(one.name)
        wait = live.get(one.name)
        if wait is None and one.ready:
            wait = _lately(database, one.name)
        if wait is not None and wait > limit:
            why = "; it is paused" if one.paused else ""
            said = f"Jobs in {one.name} wait for more than {_shown(limit)}, {one.ready} of them now{why}."
            yield wait / limit, one.name, said


def _lately(database: Database, queue: str) -> float | None:
    """Return how long those waited that began lately, all but a twentieth of them."""
    now = time.time()
    points = Charts(database).series(since=now - _LATELY, until=now, step=_MINUTE, queue=queue)
    return max((one.waited_p95 for one in points if one.waited_p95 is not None), default=None)


def _unserved(queues: Iterable[QueueStatus]) -> Iterator[tuple[float, str, str]]:
    for one in queues:
        waiting = one.ready + one.suspect
        if waiting and not one.consumers and not one.paused:
            jobs = "one job waits" if waiting == 1 else f"{waiting} jobs wait"
            yield waiting, one.name, f"No worker consumes {one.name}, and {jobs} in it."


def _silent(
    rhythm: Rhythm, ticks: Mapping[str, tuple[float, int]], seen: Mapping[str, float], app: str
) -> Iterator[Symptom]:
    now = time.time()
    late = sorted(entry.partition("/")[2] for entry in rhythm.entries if _late(entry, rhythm, ticks, seen, now) > _LATE)
    if late:
        more = f" and {len(late) - 5} more" if len(late) > 5 else ""
        said = f"The scheduler is silent: {', '.join(late[:5])}{more} should have run."
        yield _symptom(Rule.SCHEDULER, app or "(schedule)", said)


def _late(
    entry: str, rhythm: Rhythm, ticks: Mapping[str, tuple[float, int]], seen: Mapping[str, float], now: float
) -> float:
    """Return for how many seconds an entry has been due, since it was first heard of."""
    heard = seen.get(entry, now)
    last = ticks[entry][0] if entry in ticks else heard
    return now - max(rhythm.due_after(entry, last), heard)


def _at_least(count: int, most: int) -> str:
    return f"{count} or more" if count >= most else str(count)


def _shown(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"
