"""Replays with care that go on beside the pages: one, then a few, then all, unless too many fail again.

Each is a thread of the process in which it was begun, and ends with it: what was not replayed by then stays as it was,
so another one is begun for the rest. The audit log tells of its beginning and of its end.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from umbel.errors import ConfigurationError, OperationError, UmbelError, UnknownName
from umbel.ids import new_id
from umbel.jobs.canary import Canary, CanaryStep, canary
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk
    from umbel.monitor.operations.selection import LetterSelection

__all__ = ("Canaries", "CanaryRun")

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 4
#: So many that have ended are told of.
_KEPT: Final = 50
_PATIENCE_MOST: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRun:
    """One replay with care, as it is now. Times are unix seconds."""

    id: str
    #: Whoever began it.
    by: str
    #: The filter in words, and how many fitted.
    where: str
    previewed: int
    began: float
    replayed: int = 0
    succeeded: int = 0
    failed: int = 0
    ended: float | None = None
    #: ``done``, ``failed``, ``undecided``, ``stopped``, or ``broken``; None while it goes on.
    end: str | None = None
    #: How many were not replayed.
    left: int | None = None

    @property
    def counts(self) -> str:
        """How far it is."""
        return f"{self.replayed:,} replayed, {self.succeeded:,} succeeded, {self.failed:,} failed again"

    @property
    def text(self) -> str:
        """A sentence for a person."""
        left = "the rest was left alone" if self.left is None else f"{self.left:,} left alone"
        match self.end:
            case None:
                return f"{self.counts}; it goes on."
            case "done":
                return f"{self.counts}; all were replayed."
            case "failed":
                return f"{self.counts}: that is too many, {left}."
            case "undecided":
                return f"{self.counts}: some had not ended in time, {left}."
            case "stopped":
                return f"{self.counts}; it was stopped."
            case _:
                return f"{self.counts}; it could not go on, the log says why."


class _Stopped(Exception):
    """A person wants no more of it."""


class Canaries:
    """Those of one process."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk
        self._lock: Final = threading.Lock()
        self._runs: dict[str, CanaryRun] = {}
        self._stopped: set[str] = set()

    def begin(self, selection: LetterSelection, *, by: Actor, failure_rate: float, patience: float) -> CanaryRun:
        """Begin one. Raises :exc:`OperationError`."""
        previewed = selection.count
        with self._desk.action(by, "letters.canary", selection.text, previewed=previewed, rate=failure_rate) as entry:
            if not 0 <= failure_rate < 1 or not 0 < patience <= _PATIENCE_MOST:
                raise OperationError("A canary needs a failure rate from 0 to below 1, and patience up to a day.")
            run = CanaryRun(id=new_id(), by=by.name, where=selection.text, previewed=previewed, began=time.time())
            entry.note(canary=run.id)
            self._admit(run)
        arguments = (run, selection, by, failure_rate, patience)
        threading.Thread(target=self._run, args=arguments, name=f"umbel-canary-{run.id}", daemon=True).start()
        return run

    def all(self) -> tuple[CanaryRun, ...]:
        """Return those that go on, and the last ones that have ended; the newest first."""
        with self._lock:
            return tuple(reversed(self._runs.values()))

    def get(self, canary_id: str) -> CanaryRun:
        """Return one. Raises :exc:`UnknownName`."""
        with self._lock:
            found = self._runs.get(canary_id)
        if found is None:
            raise UnknownName("canary", canary_id, " in this process")
        return found

    def stop(self, canary_id: str, *, by: Actor) -> Outcome:
        """Let one replay no more. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "letters.canary.stop", canary_id):
            self.get(canary_id)
            with self._lock:
                self._stopped.add(canary_id)
        return Outcome(text="It ends with its next step.", target=canary_id)

    def _admit(self, run: CanaryRun) -> None:
        with self._lock:
            going = [one for one in self._runs.values() if one.end is None]
            if len(going) >= _AT_ONCE:
                raise OperationError(f"{_AT_ONCE} canaries go on in this process: wait for one, or stop one.")
            over = [one.id for one in self._runs.values() if one.end is not None]
            for old in over[: max(0, len(over) - _KEPT + 1)]:
                del self._runs[old]
            self._runs[run.id] = run

    def _run(self, run: CanaryRun, selection: LetterSelection, by: Actor, failure_rate: float, patience: float) -> None:
        def tell(step: CanaryStep) -> None:
            self._tell(run.id, step)
            if run.id in self._stopped:
                raise _Stopped

        with self._desk.action(by, "letters.canary.end", run.id) as entry:
            end, left = "broken", None
            try:
                found: Canary = canary(
                    self._app.dead_letters,
                    selection.where,
                    upto=selection.upto,
                    failure_rate=failure_rate,
                    patience=patience,
                    tell=tell,
                )
                self._tell(run.id, found.step)
                end, left = found.end.value, found.left
            except _Stopped:
                end = "stopped"
            except (UmbelError, OSError, ConfigurationError) as error:
                logger.error("Canary %s could not go on: %s", run.id, error)
            finally:
                known = self._end(run.id, end, left)
                entry.note(end=end, replayed=known.replayed, succeeded=known.succeeded, failed=known.failed)

    def _tell(self, canary_id: str, step: CanaryStep) -> None:
        with self._lock:
            self._runs[canary_id] = dataclasses.replace(
                self._runs[canary_id], replayed=step.replayed, succeeded=step.succeeded, failed=step.failed
            )

    def _end(self, canary_id: str, end: str, left: int | None) -> CanaryRun:
        with self._lock:
            self._stopped.discard(canary_id)
            known = dataclasses.replace(self._runs[canary_id], end=end, left=left, ended=time.time())
            self._runs[canary_id] = known
            return known
