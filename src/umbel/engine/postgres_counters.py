"""What counts ends in PostgreSQL, of batches and of chords, in one way: each member once, by its id.

A step counts inside of its caller's transaction; what it makes due is the caller's matter: :meth:`Tally.due` says what.
Rows are locked in one order everywhere, so that two processes never wait for each other: chords, then batches, by id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from umbel.engine.batches import CANCELLED, CHORD_SECONDS, DONE, FAILED, MemberEnd, Tally
from umbel.engine.postgres_documents import as_bytes
from umbel.engine.postgres_store import Step
from umbel.engine.store import ChordPart

__all__ = ("announced", "count", "finish", "tally_of")


def count(step: Step, ends: Sequence[MemberEnd], parts: Sequence[ChordPart]) -> list[Tally]:
    """Count ends; return their counters as they are then. A part ends a member of a chord, which nobody announced."""
    counts = _bring(step, sorted(parts, key=lambda part: (part.group_id, part.task_id)))
    order = sorted(ends, key=lambda end: (end.batch, end.task_id))
    rows = [{"counter": one.batch, "task": one.task_id, "outcome": one.outcome} for one in order]
    for name, before, outcome in step.each_row("count_end", rows):
        found = counts.setdefault(name, Counter())
        found[outcome] += 1
        found[before] -= 1
    wanted = [(one[DONE], one[FAILED], one[CANCELLED], name) for name, one in sorted(counts.items())]
    return [tally_of(row) for row in step.each_row("count", wanted)]


def _bring(step: Step, parts: Sequence[ChordPart]) -> dict[str, Counter[str]]:
    sizes: dict[str, int | None] = {}
    for part in parts:
        sizes[part.group_id] = part.size or sizes.get(part.group_id)
    step.each("announce", [announced(name, size, 0) for name, size in sizes.items()])
    rows = []
    for part in parts:
        result, is_text = as_bytes(part.result)
        known = {"chord": part.group_id, "task": part.task_id, "outcome": DONE, "place": part.place}
        rows.append({**known, "result": result, "is_text": is_text})
    # Also when none is new: whoever ended the last one may have died before the callback went out.
    counts: dict[str, Counter[str]] = {name: Counter() for name in sizes}
    for part, new in zip(parts, step.each_count("bring", rows), strict=True):
        counts[part.group_id][DONE] += new
    return counts


def announced(chord: str, size: int | None, extra: int, expires: float | None = None) -> dict[str, Any]:
    """Return what begins a chord, or tells it how many members it has: ``size``, the first who says it, and more."""
    return {"chord": chord, "size": size, "extra": extra, "expires": expires, "kept": CHORD_SECONDS}


def finish(step: Step, chords: Sequence[str]) -> set[str]:
    """End chords whose callbacks are sent in this step; return those of which that was not done before."""
    over = {name for name in sorted(set(chords)) if step.do("chord_over", name, CHORD_SECONDS)}
    for name in over:
        step.do("drop_members", name)
    return over


def tally_of(row: Sequence[Any]) -> Tally:
    """Return a row as what it says."""
    return Tally(
        id=row[0],
        name=row[1],
        allowed=row[2],
        share=row[3],
        owner=row[4],
        opener=row[5],
        closed=row[6],
        cancelled=row[7],
        total=row[8],
        done=row[9],
        failed=row[10],
        gone=row[11],
        fired=tuple(row[12].split()),
        created=row[13],
        updated=row[14],
        finished=row[15],
        kind=row[16],
        size=row[17],
    )
