"""The sweeper of what is counted: whatever a batch or a chord waits for that will not come, it finds.

A member's end is counted in the step that writes it, so nothing is left out that a worker of ours has settled. What can
be missing are ends that nobody wrote as such: of members that were purged, that a plain Celery worker has run, or whose
message was acknowledged before a kill; and blocks whose process has died. A chord's callback is made by whoever writes
its last member's end, in a second step; it was lost if that process died before, and the member's message was
acknowledged already. One process of the fleet looks, every minute, at those of which nothing was heard for a minute.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from celery import states

from umbel.engine.batches import CANCELLED, DONE, FAILED, MemberEnd, Tally
from umbel.engine.results import EngineBackend
from umbel.engine.store import Settled, Stored
from umbel.errors import BatchEnded, BatchNotFound
from umbel.jobs.batches import cancel_batch, cancel_members
from umbel.jobs.silence import Silence

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("sweep_batches",)

logger = logging.getLogger(__name__)

_BATCHES_MOST: Final = 100
_CHORDS_MOST: Final = 1000
#: A member that began, and whose message is gone, is given up when this process has heard nothing of it for so long.
_LOST_SECONDS: Final = 3600.0
#: Who sweeps goes on to sweep, and another one takes over when it has not for so long.
_TERM_SECONDS: Final = 150.0
_OUTCOMES: Final = {states.SUCCESS: DONE, states.FAILURE: FAILED, states.REVOKED: CANCELLED}


def sweep_batches(app: Umbel, owner: str, silence: Silence, *, quiet: float) -> int:
    """Look after what nothing was heard of for ``quiet`` seconds, if this process, ``owner``, is the one to.

    Returns how many ends, and callbacks of chords, were made up for.
    """
    engine = app.engine
    before = time.time() - quiet
    stale = engine.batches.stale(before, _BATCHES_MOST)
    chords = engine.groups.complete(before, _CHORDS_MOST)
    if not (stale or chords) or not engine.locks.acquire("batches", owner, _TERM_SECONDS).fence:
        return 0
    silence.tidy()
    return sum(_look_after(app, tally, silence) for tally in stale) + sum(_call_back(app, chord) for chord in chords)


def _call_back(app: Umbel, chord: str) -> bool:
    """Send the callback of a chord; False when it is known only to its members, and to those who take their ends."""
    backend = app.backend
    if not isinstance(backend, EngineBackend) or not backend.is_chord(chord):
        return False
    logger.warning("The callback of chord %s had not been sent: it is now.", chord)
    app.engine.settle([backend.complete_late(chord)])
    return True


def _look_after(app: Umbel, tally: Tally, silence: Silence) -> int:
    if not tally.closed and _is_abandoned(app, tally):
        logger.warning(
            "The process that opened batch %s (%s) has died before it had added everything: it is cancelled.",
            tally.id,
            tally.name,
        )
        try:
            cancel_batch(app, tally.id)
        except (BatchEnded, BatchNotFound):
            return 0
    elif tally.cancelled:
        # Whoever cancelled it may have died over it.
        cancel_members(app, tally.id, tally.owner)
    found = _lost(app, tally.id, silence)
    if found:
        logger.warning("Of batch %s (%s) %d ends were made up for.", tally.id, tally.name, len(found))
        app.engine.settle([Settled(end=end) for end in found])
    app.engine.batches.repair(tally.id)
    return len(found)


def _is_abandoned(app: Umbel, tally: Tally) -> bool:
    engine = app.engine
    if engine.locks.holder(f"batch:{tally.id}") is not None:
        return False
    # A job that opened it opens it again when it runs again.
    return tally.opener is None or engine.locate(tally.opener) is None


def _lost(app: Umbel, batch: str, silence: Silence) -> list[MemberEnd]:
    found: list[MemberEnd] = []
    for page in app.engine.batches.pending(batch):
        known = {one.task_id: one for one in app.engine.read([task_id for task_id, _ in page])}
        for task_id, queued in page:
            outcome = _outcome(known.get(task_id), queued, silence)
            if outcome is not None:
                found.append(MemberEnd(batch, task_id, outcome))
    return found


def _outcome(stored: Stored | None, queued: bool, silence: Silence) -> str | None:
    """Return how a member has ended; None if it may still run. ``queued``: its message is there."""
    if stored is not None and stored.final and (not queued or stored.state != states.REVOKED):
        # One that was cancelled ends when its message is met.
        return _OUTCOMES.get(stored.state, FAILED)
    if queued:
        return None
    if stored is None:
        return CANCELLED
    return FAILED if silence.seconds(stored) > _LOST_SECONDS else None
