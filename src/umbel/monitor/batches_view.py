"""Batches as pages show them: how far each is, which of its callbacks are due, and its members."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from umbel.engine.batches import KINDS
from umbel.errors import BatchNotFound
from umbel.jobs.batch_status import BatchState, BatchStatus, status_of
from umbel.monitor.job_filter import JobFilter

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.batches import Tally
    from umbel.monitor.history import History
    from umbel.monitor.jobs_view import JobPage
    from umbel.states import JobState

__all__ = ("BatchDetails", "BatchesView", "Callback")

_FOUND_MOST: Final = 500
_PAGE: Final = 50
_WHEN: Final = {
    "then": "when all members have ended and no more than may have failed",
    "catch": "at the first member beyond those that may fail",
    "finally": "when all members have ended, in whatever way",
}


@dataclass(frozen=True, slots=True)
class Callback:
    """One of a batch's callbacks: ``waits``, ``queued`` (where one was declared), or ``never``, because it is over."""

    kind: str
    when: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDetails:
    """One batch. ``members`` has its callbacks' jobs too, and is None where nothing is recorded."""

    status: BatchStatus
    #: The job that has opened it.
    opener: str | None
    callbacks: tuple[Callback, ...]
    members: JobPage | None


class BatchesView:
    """Reads the batches of an application; ``history`` is None where nothing is recorded."""

    def __init__(self, app: Umbel, history: History | None) -> None:
        self._app: Final = app
        self._history: Final = history

    def newest(self, limit: int = 100) -> tuple[BatchStatus, ...]:
        """Return the newest batches, at most 500. Raises a :exc:`StoreError`."""
        return tuple(map(status_of, self._app.engine.batches.find(max(1, min(limit, _FOUND_MOST)))))

    def one(self, batch_id: str, *, state: JobState | None = None, before: int | None = None) -> BatchDetails:
        """Return one batch with a page of its members, of one state alone if that is given.

        Raises :exc:`BatchNotFound`, or a :exc:`StoreError`.
        """
        tally = self._app.engine.batches.read(batch_id)
        if tally is None:
            raise BatchNotFound(batch_id)
        status = status_of(tally)
        wanted = JobFilter(batch_id=batch_id, states=frozenset([state] if state else []))
        return BatchDetails(
            status=status,
            opener=tally.opener,
            callbacks=tuple(_callbacks(tally, status)),
            members=None if self._history is None else self._history.jobs.find(wanted, before=before, limit=_PAGE),
        )


def _callbacks(tally: Tally, status: BatchStatus) -> Iterator[Callback]:
    for kind in KINDS:
        if kind in tally.fired:
            state = "queued"
        elif status.state is BatchState.RUNNING or kind == "finally":
            state = "waits" if status.finished is None else "never"
        else:
            # A replay of members may mend a batch that has failed.
            state = "waits" if status.state is BatchState.FAILED and kind == "then" else "never"
        yield Callback(kind, _WHEN[kind], state)
