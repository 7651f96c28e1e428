"""What executions leave behind, in PostgreSQL, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from umbel.engine.batches import CANCELLED, CHORD_KIND, MemberEnd
from umbel.engine.headers import CALLBACK
from umbel.engine.postgres_batches import fire
from umbel.engine.postgres_checkpoints import drop_checkpoints
from umbel.engine.postgres_claims import Held, free, held_among
from umbel.engine.postgres_counters import count, finish
from umbel.engine.postgres_events import PostgresEvents
from umbel.engine.postgres_letters import end_letter
from umbel.engine.postgres_outbox import post
from umbel.engine.postgres_records import store
from umbel.engine.postgres_store import Step
from umbel.engine.state import ENDED_SECONDS, Outcome
from umbel.engine.store import ChordPart, DeadLetter, Outgoing, Record, Settled

__all__ = ("settle",)


def settle(step: Step, token: str, entries: Sequence[Settled], events: PostgresEvents, *, crash_limit: int) -> Outcome:
    """Write ``entries``, each guarded by the claim of lease ``token``."""
    held = held_among(step, token, [entry.seq for entry in entries if entry.seq is not None])
    stopped = _cancelled(step, held, entries)
    accepted = [entry for entry in entries if entry.seq is None or entry.seq in held]
    events.tell(step, events.packed([entry.told for entry in accepted]))
    records: list[Record] = []
    outgoing: list[Outgoing] = []
    unsent = finish(step, [entry.fired for entry in accepted if entry.fired is not None])
    step.each("forget_group", [(group_id + CALLBACK,) for group_id in unsent])
    for entry in accepted:
        fires = entry.fired is None or entry.fired in unsent
        unsent.discard(entry.fired or "")
        if fires or entry.seq is not None:
            records += entry.records
        # What follows a job that was cancelled before its worker heard of it; its end is refused as well.
        if fires and not _is_stopped(entry, held, stopped):
            outgoing += entry.outgoing
    store(step, records)
    ends = [_end(entry, held, stopped) for entry in accepted if entry.end is not None]
    complete, called = _count(step, ends, [part for entry in accepted for part in entry.parts])
    outgoing += called
    for entry in accepted:
        if entry.letter is not None and not (
            _is_stopped(entry, held, stopped) and isinstance(entry.letter, DeadLetter)
        ):
            end_letter(step, entry.letter)
    _act(step, token, [(entry, held[entry.seq]) for entry in accepted if entry.seq is not None], crash_limit)
    refused = tuple(entry for entry in entries if entry.seq is not None and entry.seq not in held)
    drop_checkpoints(step, [entry.forget for entry in accepted if entry.forget is not None])
    return Outcome(refused, complete, post(step, token, outgoing))


def _end(entry: Settled, held: Mapping[int, Held], stopped: set[str | None]) -> MemberEnd:
    """Return a member's end: what was cancelled before its worker heard of it is not done."""
    assert entry.end is not None
    if _is_stopped(entry, held, stopped):
        return MemberEnd(entry.end.batch, entry.end.task_id, CANCELLED)
    return entry.end


def _cancelled(step: Step, held: Mapping[int, Held], entries: Sequence[Settled]) -> set[str | None]:
    following = [one.seq for one in entries if _matters(one) and one.seq is not None]
    ids = [held[seq].task_id for seq in following if seq in held]
    return {task_id for task_id, running in step.rows("cancelled_among", ids) if running} if ids else set()


def _matters(entry: Settled) -> bool:
    return bool(entry.outgoing) or entry.letter is not None or entry.end is not None


def _is_stopped(entry: Settled, held: Mapping[int, Held], stopped: set[str | None]) -> bool:
    return entry.seq is not None and held[entry.seq].task_id in stopped


def _count(
    step: Step, ends: Sequence[MemberEnd], parts: Sequence[ChordPart]
) -> tuple[tuple[ChordPart, ...], list[Outgoing]]:
    """Count what has ended; return a part of each chord that is complete, and the callbacks of batches that are due."""
    last = {part.group_id: part for part in parts}
    complete: list[ChordPart] = []
    called: list[Outgoing] = []
    for tally in count(step, ends, parts):
        if tally.kind == CHORD_KIND:
            complete += [last[tally.id]] if tally.due() else []
        else:
            called += fire(step, tally)
    return tuple(complete), called


def _act(step: Step, token: str, entries: Sequence[tuple[Settled, Held]], crash_limit: int) -> None:
    ended = [held for entry, held in entries if entry.action == "ack"]
    step.each("claim_end", [(ENDED_SECONDS, held.key) for held in ended])
    step.each("job_end", [(held.task_id, token, held.seq) for held in ended if held.task_id is not None])
    back = [held for entry, held in entries if entry.action == "requeue"]
    free(step, token, back, crash_limit=crash_limit)
    crashed = [held for entry, held in entries if entry.action == "crash"]
    # A prefork child runs one job: it was alone.
    free(step, token, crashed, crash_limit=crash_limit, struck=[held.seq for held in crashed], alone=True)
