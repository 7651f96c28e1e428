"""Locks that a process holds: renewed meanwhile, known to be lost when they are, released by their owner only.

A thread a process renews all of a kind in one round trip, at a third of the shortest. Whether one still lasts is told
by this process's own clock too, counted from before the store was asked: so a process that was stopped, or cut off,
knows when it may no longer act, without asking anybody.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from umbel.durations import duration
from umbel.errors import LockTaken, StoreError
from umbel.ids import new_id
from umbel.state.locks import Grant, Locks, Want

__all__ = ("Held", "Keeper", "Lock", "LockKeeper")

logger = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25


class Held(Protocol):
    """What is held for ``seconds`` and renewed meanwhile. ``fence`` names this holding; false when it is lost."""

    fence: Any

    @property
    def name(self) -> str:
        """What it is known by at the store."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""

    def renewed(self, asked: float) -> None:
        """Note that it lasts on, as asked for at that time."""


class _Renewing(Protocol):
    def renew(self, held: Sequence[tuple[str, Any]], seconds: float) -> list[bool]: ...


S = TypeVar("S", bound=_Renewing)


class Lock:
    """A lock by name, for a ``with`` or ``async with`` block; see :meth:`umbel.Umbel.lock`.

    ``fence``: its fencing number, larger than that of all who had the lock before; 0 while it is not held.
    """

    def __init__(
        self, keeper: Keeper[Any], name: str, seconds: float, *, wait: float = 0.0, owner: str | None = None
    ) -> None:
        self.name: Final = name
        self.seconds: Final = seconds
        self.owner: Final = owner or new_id()
        self.fence = 0
        self.keeper: Final = keeper
        self._wait: Final = wait
        #: It was granted with a batch, and goes back with one.
        self.batched = False
        #: Until when it lasts in any case, on this process's monotonic clock.
        self._until = 0.0

    @property
    def lost(self) -> bool:
        """Whether it is not, or no longer, held: somebody else may have it."""
        return not self.fence or time.monotonic() >= self._until

    @property
    def usable(self) -> bool:
        """Whether what was granted with a batch is still worth something."""
        return not self.lost

    def try_acquire(self, waiter: str | None = None) -> float:
        """Take the lock; return 0.0, or for how many seconds at the most another one has it. Raises StoreError."""
        asked = time.monotonic()
        grant: Grant = self.keeper.store().acquire_many([self.want(waiter)])[0]
        if not grant.fence:
            return max(grant.seconds, 0.001)
        self.granted(grant, asked)
        self.keeper.keep(self)
        return 0.0

    def want(self, waiter: str | None) -> Want:
        """Return what to ask the store for."""
        return Want(self.name, self.owner, self.seconds, waiter)

    def granted(self, grant: Grant, asked: float) -> None:
        """Note that it is held, as asked for at that time on this process's monotonic clock."""
        self.fence, self._until = grant.fence, asked + self.seconds

    def _refusal(self, left: float) -> Exception:
        return LockTaken.of(self.name, left)

    def renewed(self, asked: float) -> None:
        """Note that it lasts on, as asked for at that time."""
        self._until = asked + self.seconds

    def release(self) -> None:
        """Free the lock. What the store does not hear of ends by itself."""
        fence, self.fence = self.fence, 0
        try:
            if fence:
                self.keeper.store().release_many([(self.name, fence)])
        except StoreError as error:
            logger.warning("The lock %r could not be released and ends in %g s: %s", self.name, self.seconds, error)
        finally:
            # Only now: until the store knows, it is this process that has it.
            self.keeper.let_go(self)

    def __enter__(self) -> Self:
        """Raises :exc:`LockTaken` when another one has it for longer than ``wait``."""
        for pause in self.pauses():
            time.sleep(pause)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def __aenter__(self) -> Self:
        """Raises :exc:`LockTaken` when another one has it for longer than ``wait``."""
        pauses = self.pauses()
        pause = await asyncio.to_thread(next, pauses, None)
        while pause is not None:
            await asyncio.sleep(pause)
            pause = await asyncio.to_thread(next, pauses, None)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.release)

    def pauses(self) -> Iterator[float]:
        """Try until it is held; yield how long to wait before each next try."""
        deadline, pause = time.monotonic() + self._wait, _FIRST_PAUSE
        while left := self.try_acquire():
            patience = deadline - time.monotonic()
            if patience <= 0:
                raise self._refusal(left)
            yield min(pause, patience, left)
            pause = min(pause * 2, _LONGEST_PAUSE)


class Keeper(Generic[S]):
    """Renews what this process holds. ``store`` gives where; ``kind`` is what it is called: a lock."""

    def __init__(self, store: Callable[[], S], kind: str = "lock") -> None:
        self.store: Final = store
        self._kind: Final = kind
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._held: set[Held] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        #: The thread looks at least three times in so many seconds.
        self._shortest = math.inf

    def keep(self, *locks: Held) -> None:
        """Renew ``locks`` from now on."""
        if self._pid != os.getpid():
            self._reset()
        with self._changed:
            self._held.update(locks)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"umbel-{self._kind}s", daemon=True)
                self._thread.start()
            if any(lock.seconds < self._shortest for lock in locks):
                # Only then: those that come all the time would keep it from renewing any.
                self._changed.notify()

    def held(self) -> list[Held]:
        """Return what this process holds now."""
        with self._changed:
            return list(self._held)

    def let_go(self, lock: Held) -> None:
        """Renew ``lock`` no more."""
        with self._changed:
            self._held.discard(lock)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._held:
                    self._shortest = math.inf
                    self._changed.wait()
                    continue
                self._shortest = min(lock.seconds for lock in self._held)
                if self._changed.wait(self._shortest / 3):
                    # A shorter one is held.
                    continue
                held = [lock for lock in self._held if lock.fence]
            for seconds in {lock.seconds for lock in held}:
                self._renew([lock for lock in held if lock.seconds == seconds], seconds)

    def _renew(self, held: list[Held], seconds: float) -> None:
        asked = time.monotonic()
        fences = [(lock.name, lock.fence) for lock in held]
        try:
            lasts = self.store().renew(fences, seconds)
        except StoreError as error:
            logger.warning(
                "Each %s of this process could not be renewed, and is lost if that goes on: %s", self._kind, error
            )
            return
        except Exception:
            # The thread goes on: without it nothing of this process would be renewed any more.
            logger.exception("Each %s of this process could not be renewed, and is lost if that goes on.", self._kind)
            return
        for lock, (_, fence), still in zip(held, fences, lasts, strict=True):
            if still:
                lock.renewed(asked)
            elif lock.fence == fence:
                logger.warning("The %s %r was lost: it had not been renewed in time.", self._kind, lock.name)
                self.let_go(lock)
                lock.fence = 0


class LockKeeper(Keeper[Locks]):
    """Renews the locks that this process holds."""

    def lock(self, name: str, for_: object, wait: object = 0) -> Lock:
        """Return a lock that is not held yet. Raises :exc:`ValueError` for what is no duration."""
        seconds = duration(for_).total_seconds()
        if not seconds:
            raise ValueError(f"A lock for_={for_!r} would end at once: write a duration such as '30s'.")
        return Lock(self, name, seconds, wait=duration(wait).total_seconds())
