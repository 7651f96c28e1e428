"""What jobs were granted in the step that asked for their whole batch, and what goes back at their ends (C31, C34).

A job's grants wait here for its body, which takes them when it begins. Whatever else becomes of its message, it passes
the thread that settles, and what the body has not taken goes back there; what bodies have done with goes back with it,
many in one step. A worker without such jobs has an empty dictionary here, and pays for looking at it once a batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from umbel.engine.store import Settled
from umbel.errors import StoreError

__all__ = ("Candidate", "Claims", "Holding", "Holdings")

logger = logging.getLogger(__name__)

#: A refusal is true for so long: then the job is heard in its place when it begins, and asks again.
_REFUSED_SECONDS: Final = 0.01


@dataclass(frozen=True, slots=True)
class Candidate:
    """A fetched job that is about to wait for a slot."""

    seq: int
    task: str
    task_id: str
    args: Any
    kwargs: Any


class Holding:
    """What one job was granted, by the kind of what declares it; or why it is put off, given its task.

    ``asked``: when, on this process's monotonic clock. ``passage``: the breaker that was closed then.
    """

    __slots__ = ("asked", "held", "passage", "refusal")

    def __init__(self, asked: float) -> None:
        self.asked: Final = asked
        self.held: Final[dict[str, list[Any]]] = {}
        self.passage: str | None = None
        self.refusal: Callable[[Any], Exception] | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the job need not ask to know that it has to wait."""
        return self.refusal is not None and time.monotonic() - self.asked < _REFUSED_SECONDS


class Claims(Protocol):
    """Asks for what the jobs of an application need before they begin."""

    def names(self) -> set[str]:
        """Return the tasks whose jobs need something."""

    def claim(self, jobs: Sequence[Candidate]) -> dict[int, Holding]:
        """Ask for all of ``jobs`` in one step for each kind; return what each has, by the number of its message."""

    def give_back(self, held: Sequence[Any]) -> None:
        """Free what jobs have done with, in one step for each kind. Raises :exc:`StoreError`."""


class Holdings:
    """What the jobs of one process have that is not their bodies' yet, or not any more."""

    def __init__(self) -> None:
        self._of: Final[dict[int, Holding]] = {}
        self._done: Final[deque[Any]] = deque()
        self._turn: Final = threading.Lock()
        #: Set by who asks for them.
        self.claims: Claims | None = None

    def keep(self, holdings: dict[int, Holding]) -> None:
        """Keep what jobs were granted until they begin."""
        self._of.update(holdings)

    def take(self, seq: int) -> Holding | None:
        """Return what a job has that begins; from now on it is its body's."""
        return self._of.pop(seq, None)

    def drop(self, seq: int) -> None:
        """Let what a job has go back that does not begin now."""
        holding = self._of.pop(seq, None)
        if holding is not None:
            self.leave(*(one for kind in holding.held.values() for one in kind))

    def refuses(self, seq: int) -> bool:
        """Whether a job is to wait for something, or asks by itself."""
        holding = self._of.get(seq)
        return holding is None or holding.refusal is not None

    def leave(self, *held: Any) -> None:
        """Let ``held`` go back with what is settled next."""
        self._done.extend(held)

    def end(self, entries: Sequence[Settled]) -> None:
        """Let all go back that is kept for jobs whose messages are settled by ``entries``: these never began.

        Before they are, because a message that has gone back may be fetched, and granted something, again.
        """
        if self._of:
            for entry in entries:
                if entry.seq is not None and entry.action != "keep":
                    self.drop(entry.seq)

    @property
    def owes(self) -> bool:
        """Whether something is to go back."""
        return bool(self._done)

    def give_back(self) -> None:
        """Free what is to go back, and what another thread is about to. Raises :exc:`StoreError`: then it is owed."""
        with self._turn:
            held = [self._done.popleft() for _ in range(len(self._done))]
            if not held or self.claims is None:
                return
            try:
                self.claims.give_back(held)
            except StoreError:
                self._done.extendleft(reversed(held))
                raise
            except Exception:
                logger.exception("What %d jobs held could not be freed, and ends by itself.", len(held))
