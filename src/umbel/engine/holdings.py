"""What jobs were granted in the step that asked for their whole batch, and what is told at their ends (C31, C32, C34).

A job's grants wait here for its body, which takes them when it begins. Whatever else becomes of its message, it passes
the thread that settles, and what the body has not taken goes back there; what bodies have done with goes back with it,
many in one step. A worker without such jobs has an empty dictionary here, and pays for looking at it once a batch.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from umbel.engine.store import Settled
from umbel.errors import StoreError

__all__ = ("Candidate", "Claims", "Holding", "Holdings")

logger = logging.getLogger(__name__)

#: A refusal is true for so long: then the job is heard in its place when it begins, and asks again.
_REFUSED_SECONDS: Final = 0.01
#: So long what a job was granted waits for it.
_WAIT_SECONDS: Final = 1.0


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

    ``asked``: when, on this process's monotonic clock. ``passage``: the breaker that was closed then. ``wanted``: what
    others of this process had, or were to have: the job asks for all that it needs when it begins.
    """

    __slots__ = ("asked", "held", "passage", "refusal", "wanted")

    def __init__(self, asked: float) -> None:
        self.asked: Final = asked
        self.held: Final[dict[str, list[Any]]] = {}
        self.passage: str | None = None
        self.wanted: str | None = None
        self.refusal: Callable[[Any], Exception] | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the job need not ask to know that it has to wait."""
        return self.refusal is not None and time.monotonic() - self.asked < _REFUSED_SECONDS


class Claims(Protocol):
    """Asks for what the jobs of an application need before they begin."""

    def names(self) -> set[str]:
        """Return the tasks whose jobs need something."""

    def claim(self, jobs: Sequence[Candidate], is_wanted: Callable[[str], bool]) -> dict[int, Holding]:
        """Ask for all of ``jobs`` in one step for each kind; return what each has, by the number of its message.

        ``is_wanted`` tells what earlier jobs of this process are going to ask for: those come first.
        """

    def give_back(self, held: Sequence[Any]) -> None:
        """Free what jobs have done with, in one step for each kind. Raises :exc:`StoreError`."""

    def conclude(self, endings: Sequence[Any]) -> None:
        """Note what became of effects, in one step. Raises :exc:`StoreError`."""


class Holdings:
    """What the jobs of one process have that is not their bodies' yet, or not any more."""

    def __init__(self) -> None:
        self._of: Final[dict[int, Holding]] = {}
        self._done: Final[deque[Any]] = deque()
        self._endings: Final[deque[Any]] = deque()
        self._wanted: Final[Counter[str]] = Counter()
        self._want_lock: Final = threading.Lock()
        self._turn: Final = threading.Lock()
        #: How often the store was told something.
        self.times_told = 0
        #: Set by who asks for them.
        self.claims: Claims | None = None

    def keep(self, holdings: dict[int, Holding]) -> None:
        """Keep what jobs were granted until they begin."""
        for holding in holdings.values():
            self._want(holding, 1)
        self._of.update(holdings)

    def _want(self, holding: Holding, change: int) -> None:
        if holding.wanted is not None:
            with self._want_lock:
                self._wanted[holding.wanted] += change
                if not self._wanted[holding.wanted]:
                    del self._wanted[holding.wanted]

    def is_wanted(self, name: str) -> bool:
        """Whether a job here is going to ask for ``name`` when it begins, or has."""
        return name in self._wanted

    def take(self, seq: int) -> Holding | None:
        """Return what a job has that begins; from now on it is its body's, until :meth:`close`."""
        return self._of.pop(seq, None)

    def close(self, holding: Holding) -> None:
        """Let go back what the body has not used that has had ``holding``, and has come to its end."""
        self._want(holding, -1)
        self.leave(*(one for kind in holding.held.values() for one in kind))

    def drop(self, seq: int) -> bool:
        """Let what a job has go back that does not begin now; return whether it had anything."""
        holding = self._of.pop(seq, None)
        if holding is None:
            return False
        self.close(holding)
        return bool(holding.held)

    def loosen(self) -> bool:
        """Let go back what jobs have that have waited for long; return whether there was any. They ask as they begin.

        Behind a job that takes its time they would keep from others what these could use elsewhere.
        """
        late = time.monotonic() - _WAIT_SECONDS
        old = [seq for seq, holding in self._of.copy().items() if holding.asked < late and holding.held]
        return sum(self.drop(seq) for seq in old) > 0

    def refuses(self, seq: int) -> bool:
        """Whether a job is to wait for something, or asks by itself."""
        holding = self._of.get(seq)
        return holding is None or holding.refusal is not None or holding.wanted is not None

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

    def conclude(self, ending: Any) -> None:
        """Let the store be told ``ending`` before anything that is settled after this."""
        self._endings.append(ending)

    @property
    def concludes(self) -> bool:
        """Whether the store is to be told something before the next settlement."""
        return bool(self._endings)

    def tell(self) -> None:
        """Tell the store the endings of effects, also what another thread is about to. Raises :exc:`StoreError`."""
        self._each(self._endings, lambda claims, endings: claims.conclude(endings))

    @property
    def owes(self) -> bool:
        """Whether something is to go back."""
        return bool(self._done)

    def give_back(self) -> None:
        """Free what is to go back, and what another thread is about to. Raises :exc:`StoreError`: then it is owed."""
        self._each(self._done, lambda claims, held: claims.give_back(held))

    def _each(self, queue: deque[Any], call: Callable[[Claims, list[Any]], None]) -> None:
        with self._turn:
            # They stay there meanwhile, so that nobody takes for told what is on its way.
            found = [queue[place] for place in range(len(queue))]
            if found and self.claims is not None:
                _tell_all(self.claims, found, call)
            self.times_told += bool(found)
            for _ in found:
                queue.popleft()


def _tell_all(claims: Claims, found: list[Any], call: Callable[[Claims, list[Any]], None]) -> None:
    try:
        call(claims, found)
    except StoreError:
        raise
    except Exception:
        if len(found) == 1:
            logger.exception("The store could not be told of what a job held; that ends by itself.")
            return
        # One that cannot be told must not take the others with it.
        for one in found:
            _tell_all(claims, [one], call)
