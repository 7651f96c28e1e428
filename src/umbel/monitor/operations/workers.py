"""Workers: to drain, and to give more slots or fewer.

They are told by Celery's control commands, over the broker. A worker here is one process, which has a node name of its
own; one that was drained is not replaced by its supervisor.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Any, Final

from umbel.errors import NoAnswer, OperationError, UnknownName
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.operations.desk import Desk

__all__ = ("SLOTS_MOST", "WorkerOperations")

#: So many slots are added or taken away at once, at most.
SLOTS_MOST: Final = 1000
_ANSWER_SECONDS: Final = 5.0


class WorkerOperations:
    """``jobs.operations.workers``."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk

    def matching(self, pattern: str) -> tuple[str, ...]:
        """Return the node names that fit ``pattern``, in which ``*`` stands for anything: what is acted on then."""
        return tuple(sorted(fnmatch.filter(self._known(), pattern)))

    def drain(self, *names: str, by: Actor) -> Outcome:
        """Let workers take no new jobs, end those that run, and go. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "worker.drain", ", ".join(names)):
            self._check(names)
            self._app.control.shutdown(destination=list(names))
        verb = "ends its jobs and goes" if len(names) == 1 else "end their jobs and go"
        return Outcome(text=f"{', '.join(names)} {verb}.", target=", ".join(names), count=len(names))

    def grow(self, name: str, slots: int = 1, *, by: Actor) -> Outcome:
        """Let a worker run ``slots`` more jobs at a time. Raises :exc:`UnknownName`, :exc:`NoAnswer`."""
        return self._scale(name, slots, by, "grow", "more")

    def shrink(self, name: str, slots: int = 1, *, by: Actor) -> Outcome:
        """Let a worker run ``slots`` jobs fewer at a time, one at least; running ones go on.

        Raises :exc:`UnknownName`, :exc:`NoAnswer`.
        """
        return self._scale(name, slots, by, "shrink", "fewer")

    def _scale(self, name: str, slots: int, by: Actor, verb: str, word: str) -> Outcome:
        with self._desk.action(by, f"worker.{verb}", name, slots=slots):
            if not 1 <= slots <= SLOTS_MOST:
                raise OperationError(f"{slots} is no number of slots: from 1 to {SLOTS_MOST:,}.")
            self._check((name,))
            self._ask(name, f"pool_{verb}", n=slots)
        noun = "job" if slots == 1 else "jobs"
        return Outcome(text=f"{name} runs {slots:,} {noun} {word} at a time.", target=name, count=slots)

    def _ask(self, name: str, command: str, **arguments: Any) -> None:
        found = self._app.control.broadcast(
            command, arguments, destination=[name], reply=True, timeout=_ANSWER_SECONDS, limit=1
        )
        if not found:
            raise NoAnswer(name, _ANSWER_SECONDS)
        answer = found[0].get(name) or {}
        if "error" in answer:
            raise OperationError(f"{name} has refused: {str(answer['error'])[:200]}")

    def _known(self) -> set[str]:
        return {worker.hostname for worker in self._app.engine.workers()}

    def _check(self, names: tuple[str, ...]) -> None:
        known = self._known()
        for name in names:
            if name not in known:
                raise UnknownName("worker", name, ": it may have ended")
