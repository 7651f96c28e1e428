"""Replays with care that go on beside the pages: one, then a few, then all, unless too many fail again.

They stand in the history. The process in which one was begun goes on with it; when that ends, the recorder of the
workers does (:mod:`umbel.monitor.canary_keeper`). The audit log tells of its beginning and of its end.
"""

from __future__ import annotations

import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Final

from umbel.errors import OperationError, UnknownName
from umbel.ids import new_id
from umbel.jobs.canary import canary_plan
from umbel.monitor.operations.outcomes import Outcome

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.actors import Actor
    from umbel.monitor.canary_book import CanaryBook, CanaryRun
    from umbel.monitor.canary_keeper import CanaryKeeper
    from umbel.monitor.operations.desk import Desk
    from umbel.monitor.operations.selection import LetterSelection

__all__ = ("Canaries",)

_AT_ONCE: Final = 4
_PATIENCE_MOST: Final = 86_400.0


class Canaries:
    """Those of one application's history."""

    def __init__(self, app: Umbel, desk: Desk) -> None:
        self._app: Final = app
        self._desk: Final = desk
        self._lock: Final = threading.Lock()
        self._thread: threading.Thread | None = None

    @cached_property
    def _book(self) -> CanaryBook:
        from umbel.monitor.canary_book import CanaryBook

        return CanaryBook(self._app.history.database)

    @cached_property
    def _keeper(self) -> CanaryKeeper:
        from umbel.monitor.canary_keeper import CanaryKeeper

        return CanaryKeeper(self._app.dead_letters, self._app.history, self._app.engine.events.identity)

    def begin(self, selection: LetterSelection, *, by: Actor, failure_rate: float, patience: float) -> CanaryRun:
        """Begin one. Raises :exc:`OperationError`, and a :exc:`StoreError`."""
        from umbel.monitor.canary_book import CanaryRun

        previewed = selection.count
        with self._desk.action(by, "letters.canary", selection.text, previewed=previewed, rate=failure_rate) as entry:
            if not 0 <= failure_rate < 1 or not 0 < patience <= _PATIENCE_MOST:
                raise OperationError("A canary needs a failure rate from 0 to below 1, and patience up to a day.")
            if sum(one.end is None for one in self._book.all()) >= _AT_ONCE:
                raise OperationError(f"{_AT_ONCE} canaries go on: wait for one, or stop one.")
            run = CanaryRun(id=new_id(), by=by.name, where=selection.text, previewed=previewed, began=time.time())
            entry.note(canary=run.id)
            plan = canary_plan(
                self._app.dead_letters,
                selection.where,
                upto=selection.upto,
                failure_rate=failure_rate,
                patience=patience,
            )
            keeper = self._keeper
            self._book.add(run, by, store=self._app.engine.events.identity(), plan=plan, runner=keeper.runner)
            with self._lock:
                keeper.hold(run.id, by, plan)
                self._go_on()
        return run

    def _go_on(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="umbel-canaries", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while True:
            self._keeper.run_out()
            with self._lock:
                # Whoever begins one looks for this thread with the lock.
                if self._keeper.is_idle:
                    self._thread = None
                    return

    def all(self) -> tuple[CanaryRun, ...]:
        """Return those that go on, and the last ones that have ended; the newest first."""
        return self._book.all()

    def get(self, canary_id: str) -> CanaryRun:
        """Return one. Raises :exc:`UnknownName`."""
        found = self._book.get(canary_id)
        if found is None:
            raise UnknownName("canary", canary_id)
        return found

    def stop(self, canary_id: str, *, by: Actor) -> Outcome:
        """Let one replay no more. Raises :exc:`UnknownName`."""
        with self._desk.action(by, "letters.canary.stop", canary_id):
            self.get(canary_id)
            self._book.stop(canary_id)
        return Outcome(text="It ends with its next step.", target=canary_id)
