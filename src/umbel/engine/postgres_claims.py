"""Who runs a message, in PostgreSQL: claims, their ends, and what becomes of them when a process dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from umbel.engine.postgres_store import Step
from umbel.engine.state import Claim, Claimed, Verdict

__all__ = ("Held", "claim", "free", "held_all", "held_among")

_HELD: Final = "h"
_ENDED: Final = "e"
_SUSPECT: Final = "s"
_CONDEMNED: Final = "c"


@dataclass(frozen=True, slots=True)
class Held:
    """A claimed message."""

    seq: int
    key: str
    task_id: str | None
    queue: str
    deliveries: int
    crashes: int
    alone: bool
    verdict: str | None


def held_among(step: Step, token: str, seqs: Sequence[int]) -> dict[int, Held]:
    """Return those of ``seqs`` that the process of ``token`` holds, and lock them."""
    return {row[0]: Held(*row) for row in step.rows("held_among", token, list(seqs))} if seqs else {}


def held_all(step: Step, token: str) -> list[Held]:
    """Return everything that the process of ``token`` holds, and lock it."""
    return [Held(*row) for row in step.rows("held_all", token)]


def claim(step: Step, token: str, claims: Sequence[Claim]) -> list[Claimed]:
    """Claim deliveries for a process whose lease lives."""
    order = sorted(claims, key=lambda one: one.key)
    step.each("claim_new", [(one.key, one.task_id, one.queue) for one in order])
    known = {row[0]: row[1:] for row in step.rows("claim_lock", [one.key for one in order])}
    ids = [one.task_id for one in claims if one.task_id is not None]
    jobs = dict(step.rows("claim_jobs", ids))
    cancelled = {row[0] for row in step.rows("cancelled_among", ids)}
    answers = [_answer(step, token, one, known, jobs, cancelled) for one in claims]
    taken = [(one, answer) for one, answer in zip(claims, answers, strict=True) if answer.verdict is Verdict.RUN]
    step.each("claim_hold", [_hold(token, one, answer) for one, answer in taken])
    step.each("job_held", [(token, one.seq, one.task_id) for one, _ in taken if one.task_id is not None])
    return answers


def _answer(
    step: Step, token: str, one: Claim, known: dict[str, Any], jobs: dict[str, float], cancelled: set[str]
) -> Claimed:
    kind, owner, seq, enqueued, deliveries, _, verdict, old = known[one.key]
    stopped = one.task_id in cancelled
    if kind == _HELD:
        if owner != token:
            return Claimed(Verdict.HELD)
        return Claimed(Verdict.MINE, seq, enqueued, deliveries, verdict, stopped)
    if kind == _ENDED and one.repeated and not old:
        return Claimed(Verdict.ENDED)
    if kind == _SUSPECT and not one.alone:
        step.do("claim_moved", one.key)
        return Claimed(Verdict.SUSPECT)
    since = jobs.get(one.task_id, 0.0) if one.task_id is not None else 0.0
    why = verdict if kind == _CONDEMNED else None
    # A second message of the same key in this batch finds the first one's claim.
    known[one.key] = (_HELD, token, one.seq, since, deliveries, 0, why, False)
    return Claimed(Verdict.RUN, one.seq, since, deliveries, why, stopped)


def _hold(token: str, one: Claim, answer: Claimed) -> dict[str, Any]:
    return {
        "token": token,
        "seq": one.seq,
        "task_id": one.task_id,
        "queue": one.queue,
        "enqueued": answer.enqueued,
        "alone": one.alone,
        "verdict": answer.condemned,
        "key": one.key,
    }


def free(
    step: Step,
    token: str,
    held: Sequence[Held],
    *,
    crash_limit: int,
    struck: Sequence[int] = (),
    alone: bool = False,
    condemned: dict[int, str] | None = None,
) -> None:
    """Let messages go back to the broker: as they were, as suspects (``struck``), or condemned with a verdict."""
    rows = []
    for one in held:
        kind, crashes, verdict = (_SUSPECT if one.alone else "f"), one.crashes, one.verdict
        if one.seq in struck and verdict is None:
            kind, crashes = _SUSPECT, crashes + int(alone)
            if alone and crashes >= crash_limit:
                verdict = f"worker lost: its process died {crashes} times with this job alone in it"
        verdict = verdict or (condemned or {}).get(one.seq)
        rows.append((_CONDEMNED if verdict else kind, crashes, verdict, one.key))
    step.each("claim_free", rows)
    step.each("job_free", [(one.task_id, token, one.seq) for one in held if one.task_id is not None])
