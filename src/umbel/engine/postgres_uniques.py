"""Keys that one job has at a time, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umbel.engine import postgres_outbox
from umbel.engine.postgres_events import tell_queued
from umbel.engine.postgres_store import Step
from umbel.engine.state import Keyed
from umbel.engine.uniques import UniqueKey

__all__ = ("note_unique", "wanted")


def note_unique(step: Step, messages: Sequence[Keyed]) -> list[str]:
    """Know those of the jobs whose keys no other job has; return for each the id of the job that has it."""
    holders: dict[int, str] = {}
    #: Of this batch, whose jobs are noted only at its end.
    taken: dict[str, str] = {}
    # In one order everywhere, so that two dispatches never wait for each other.
    for number, one in sorted(enumerate(messages), key=lambda pair: _order(pair[1])):
        own, key = str(one.message.task_id), one.message.unique
        if key is None:
            holders[number] = own
            continue
        holders[number] = taken.get(key.name) or _take(step, key, own)
        taken[key.name] = holders[number]
    mine = [one for number, one in enumerate(messages) if holders[number] == str(one.message.task_id)]
    rows = postgres_outbox.note_rows([(one.message, one.key) for one in mine])
    rows.sort(key=lambda row: str(row["task_id"]))
    step.each("note", rows)
    tell_queued(step, [one.message for one in mine])
    return [holders[number] for number in range(len(messages))]


def wanted(step: Step, messages: Sequence[Keyed]) -> list[Keyed]:
    """Return those of the jobs whose keys no other job has; these have them from now on."""
    found = []
    for one in sorted(messages, key=_order):
        own, key = str(one.message.task_id), one.message.unique
        if key is None or _take(step, key, own) == own:
            found.append(one)
    return found


def _order(one: Keyed) -> tuple[str, str]:
    key = one.message.unique
    return ("" if key is None else key.name, str(one.message.task_id))


def _take(step: Step, key: UniqueKey, own: str) -> str:
    rows: list[tuple[Any, ...]] = []
    while not rows:
        if step.do("unique_new", key.name, own, key.until_start, key.seconds):
            return own
        # Whoever sweeps may drop it between the two.
        rows = step.rows("unique_lock", key.name)
    # Only now, with the row locked, what others have committed about its job is seen.
    holder = str(rows[0][0])
    if holder != own and step.rows("unique_counts", key.name):
        return holder
    step.do("unique_take", own, key.until_start, key.seconds, key.name)
    return own
