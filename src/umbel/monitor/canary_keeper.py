"""Goes on with replays with care: those that were begun in this process, and those whose own process has ended.

A process of the dashboard keeps what it has begun; the recorder that leads takes over what nobody goes on with. Each
step's plan is kept before the next step, so that a keeper may end anywhere: the next one replays no letter twice, and
counts each. While the history or the store is away canaries wait, for :data:`_BROKEN_SECONDS` at the most.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from umbel.errors import UmbelError
from umbel.ids import new_id
from umbel.jobs.canary import CanaryPlan, CanaryWalk
from umbel.jobs.dead_letters import DeadLetters
from umbel.monitor.actors import Actor
from umbel.monitor.canary_book import SILENT_SECONDS, CanaryBook
from umbel.monitor.history import History

__all__ = ("CanaryKeeper",)

logger = logging.getLogger("umbel.canaries")

_PAUSE_SECONDS: Final = 0.1
_LONG_PAUSE_SECONDS: Final = 1.0
_BEAT_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 2.0
_BROKEN_SECONDS: Final = 300.0


class _Held:
    """A canary with which this keeper goes on."""

    def __init__(self, canary_id: str, by: Actor, walk: CanaryWalk) -> None:
        self.id: Final = canary_id
        self.by: Final = by
        self.walk: Final = walk
        #: What is kept of it, and when that was.
        self.kept: CanaryPlan = walk.plan
        self.beat = time.monotonic()
        self.fails_since: float | None = None


class CanaryKeeper:
    """One of a process, for the letters of one store."""

    def __init__(self, letters: DeadLetters, history: History, store: Callable[[], str]) -> None:
        self.runner: Final = new_id()
        self._letters: Final = letters
        self._book: Final = CanaryBook(history.database)
        self._audit: Final = history.audit
        self._store: Final = store
        self._held: Final[dict[str, _Held]] = {}

    def hold(self, canary_id: str, by: Actor, plan: CanaryPlan) -> None:
        """Go on with a canary whose runner this one is."""
        self._held[canary_id] = _Held(canary_id, by, CanaryWalk(self._letters, plan))

    def take_over(self, *, silent: float = SILENT_SECONDS) -> None:
        """Take over what nobody has been heard of for so many seconds who goes on with. Raises a :exc:`StoreError`."""
        while (found := self._book.take_over(self._store(), self.runner, silent=silent)) is not None:
            logger.info("Going on with the canary %s of %s, whose process has ended.", found.id, found.by.name)
            self.hold(found.id, found.by, found.plan)

    def step(self) -> bool:
        """Do what is next for each; return whether anything has moved."""
        # Each of them, whatever has moved before.
        return sum(self._try(held) for held in list(self._held.values())) > 0

    @property
    def is_idle(self) -> bool:
        """Whether there is none."""
        return not self._held

    def _try(self, held: _Held) -> bool:
        try:
            moved = self._go_on(held)
        except (UmbelError, OSError) as error:
            self._wait_or_break(held, error)
            return False
        held.fails_since = None
        return moved

    def _go_on(self, held: _Held) -> bool:
        if held.walk.plan != held.kept:
            return self._keep(held)
        if self._book.is_stopped(held.id):
            return self._end(held, "stopped")
        plan = held.walk.go_on()
        if plan.end is not None:
            return self._end(held, plan.end.value)
        if plan == held.kept and time.monotonic() - held.beat < _BEAT_SECONDS:
            return False
        return self._keep(held)

    def _keep(self, held: _Held) -> bool:
        plan = held.walk.plan
        if plan.end is not None:
            return self._end(held, plan.end.value)
        if not self._book.keep(held.id, self.runner, plan):
            # Another one has taken it over, while this one was taken for dead.
            del self._held[held.id]
        moved, held.kept, held.beat = plan != held.kept, plan, time.monotonic()
        return moved

    def _end(self, held: _Held, outcome: str) -> bool:
        plan = held.walk.plan
        if self._book.end(held.id, self.runner, plan, outcome):
            step = plan.step
            detail = {"end": outcome, "replayed": step.replayed, "succeeded": step.succeeded, "failed": step.failed}
            self._audit.write(held.by, "letters.canary.end", held.id, detail)
        del self._held[held.id]
        return True

    def _wait_or_break(self, held: _Held, error: Exception) -> None:
        now = time.monotonic()
        if held.fails_since is None:
            held.fails_since = now
            logger.warning("Canary %s waits: %s", held.id, error)
        elif now - held.fails_since > _BROKEN_SECONDS:
            logger.error("Canary %s could not go on: %s", held.id, error)
            with contextlib.suppress(UmbelError):
                self._end(held, "broken")
            self._held.pop(held.id, None)

    def run_out(self) -> None:
        """Go on until there is nothing left to go on with."""
        pause = _PAUSE_SECONDS
        while not self.is_idle:
            if self.step():
                pause = _PAUSE_SECONDS
            else:
                time.sleep(pause)
                pause = min(pause * 1.3, _LONG_PAUSE_SECONDS)

    @contextlib.contextmanager
    def running(self, stop: threading.Event, leads: Callable[[], bool]) -> Iterator[None]:
        """Look, in a thread of its own, for what nobody goes on with, while this process is the one that ``leads``."""
        arguments = (stop, leads)
        thread = threading.Thread(target=self._run, args=arguments, name="umbel-canaries", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(_STOP_SECONDS)

    def _run(self, stop: threading.Event, leads: Callable[[], bool]) -> None:
        looked = time.monotonic()
        while not stop.is_set():
            if leads() and time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                # Whoever records says when a database is away.
                with contextlib.suppress(UmbelError):
                    self.take_over()
            if not self.step():
                stop.wait(_LONG_PAUSE_SECONDS)
