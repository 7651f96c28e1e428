"""The thread that settles: everything that has ended since its last step, in one step.

There is no timer: while one batch is being written the next one gathers, so batches grow with the load and a
lone job is settled at once. A failed write is written again until it succeeds; nothing is run again for it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from umbel.engine.holdings import Holdings
from umbel.engine.outage import Outage
from umbel.engine.store import ChordPart, Engine, Record, Settled
from umbel.errors import StoreError
from umbel.state.events import Ended

__all__ = ("Flusher",)

logger = logging.getLogger(__name__)

#: A passing state (started, progress) waits this long for the job's end to make it needless.
_NOTE_SECONDS: Final = 0.02
_BATCH: Final = 1000


def _says_nothing() -> None:
    """Nothing is to be known of it."""


class Flusher:
    """Writes the ends and the passing states of jobs, in batches, from one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        #: What the jobs of this process hold while they wait for a slot, and until it is freed.
        self.holdings: Final = Holdings()
        self._entries: deque[Settled] = deque()
        self._notes: dict[str, tuple[float, int | None, Callable[[], Record], Callable[[], Ended | None]]] = {}
        self._wake = threading.Event()
        self._idle = threading.Event()
        self._idle.set()
        self._stopping = False
        #: Whether jobs run in this very process.
        self.in_process = True
        #: Whether dead letters name the types of errors, and nothing that they say.
        self.discreet = False
        #: Builds what a complete chord's callback is; set by the result backend.
        self.on_chord: Callable[[ChordPart], Settled] | None = None
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()
        #: When to try again to free what could not be; and that nothing more is waited for.
        self._free_due = math.inf
        self._hurried = False
        self._unfreed = Outage("What ended jobs held could not be freed", "What ended jobs held is freed again")
        self._outage = Outage("Jobs' ends could not be written", "Jobs' ends are written again")

    @property
    def tells(self) -> bool:
        """Whether somebody writes the history."""
        return self._engine.events.known

    @property
    def release(self) -> str | None:
        """Which release of the application the jobs are of."""
        return self._engine.release

    def submit(self, entry: Settled) -> None:
        """Write ``entry`` soon. Never blocks."""
        for record in entry.records:
            self._notes.pop(record.task_id, None)
        # In this order: the thread looks for entries when it has said that there are none.
        self._entries.append(entry)
        self._idle.clear()
        self._ring()

    def note(
        self,
        seq: int | None,
        task_id: str,
        make: Callable[[], Record],
        began: Callable[[], Ended | None] = _says_nothing,
        *,
        ring: bool = True,
    ) -> None:
        """Write a passing state of ``task_id`` soon; only the latest counts. Never blocks.

        ``began`` returns what the history is to know by then. Without ``ring`` it waits for somebody to :meth:`remind`
        of it.
        """
        known = self._notes.get(task_id)
        self._notes[task_id] = (known[0] if known else time.monotonic() + _NOTE_SECONDS, seq, make, began)
        if ring:
            self._ring()

    def remind(self) -> None:
        """Write the passing states whose time has come. Never blocks."""
        if self._notes:
            self._ring()

    def claim(self, task_id: str) -> Callable[[], Record] | None:
        """Take back the passing state of ``task_id`` that has not been written yet."""
        note = self._notes.pop(task_id, None)
        return note[2] if note is not None else None

    def hurry(self) -> None:
        """Free what is to go back now, whether anything is to be settled with it or not. Never blocks."""
        self._idle.clear()
        self._hurried = True
        self._ring()

    def drain(self, timeout: float) -> bool:
        """Wait until everything submitted so far is written; return whether it is."""
        self._hurried = True
        self._ring()
        return self._idle.wait(timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Write what is there and end the thread."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None
        self._stopping = False

    def _ring(self) -> None:
        if self._thread is None:
            with self._start_lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="umbel-settle", daemon=True)
                    self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while True:
            if not (self._entries or self.holdings.owes or self.holdings.concludes):
                self._idle.set()
                if self._entries:
                    self._idle.clear()
            self._wake.wait(self._patience())
            self._wake.clear()
            batch = self._take()
            hurried = self._stopping or self._is_hurried()
            # What a body has just said or done with waits for the entry that follows.
            if self.holdings.concludes and (batch or hurried):
                # All that these entries are about: it was said before they were handed over.
                self._conclude()
            if batch:
                self.holdings.end(batch)
                self._write(batch)
            if self.holdings.owes and (batch or hurried or self._free_due <= time.monotonic()):
                self._free()
            if not batch and self._stopping and not self._entries:
                self._idle.set()
                return

    def _is_hurried(self) -> bool:
        # Only what was seen is taken back: who asks for it meanwhile is heard at the next turn.
        hurried = self._hurried
        if hurried:
            self._hurried = False
        return hurried

    def _patience(self) -> float | None:
        if self._entries or self._stopping:
            return 0.0
        due = [due for due, *_ in list(self._notes.values())]
        if self.holdings.owes and self._free_due < math.inf:
            due.append(self._free_due)
        return max(0.001, min(due) - time.monotonic()) if due else None

    def _take(self) -> list[Settled]:
        batch: list[Settled] = []
        while self._entries and len(batch) < _BATCH:
            batch.append(self._entries.popleft())
        if self._notes:
            batch += self._ripe()
        return batch

    def _ripe(self) -> list[Settled]:
        now = time.monotonic()
        ripe: list[Settled] = []
        for task_id, (due, seq, make, began) in list(self._notes.items()):
            if (due <= now or self._stopping) and self._notes.pop(task_id, None) is not None:
                try:
                    ripe.append(Settled(seq, records=[make()], told=began() if self.tells else None))
                except Exception:
                    logger.exception("A passing state of job %s could not be encoded and was dropped.", task_id)
        return ripe

    def _write(self, batch: list[Settled]) -> None:
        while True:
            try:
                refused = self._settle(batch)
            except StoreError as error:
                time.sleep(self._outage.pause(error))
            except Exception:
                if len(batch) > 1:
                    # One entry that cannot be stored must not take the others with it.
                    for entry in batch:
                        self._write([entry])
                else:
                    logger.exception("A job's end could not be written; its message stays with this worker.")
                return
            else:
                # What is refused the second time was written the first time, and only the answer was lost.
                if not self._outage.over():
                    self._report(refused)
                return

    def _conclude(self) -> None:
        while True:
            try:
                self.holdings.tell()
            except StoreError as error:
                time.sleep(self._outage.pause(error))
            else:
                self._outage.over()
                return

    def _free(self) -> None:
        try:
            self.holdings.give_back()
        except StoreError as error:
            # What is settled does not wait for it.
            self._free_due = time.monotonic() + self._unfreed.pause(error)
        else:
            self._free_due = math.inf
            self._unfreed.over()

    def _settle(self, batch: list[Settled]) -> list[Settled]:
        refused: list[Settled] = []
        plain = [entry for entry in batch if not entry.parts]
        if plain:
            refused += self._engine.settle(plain).refused
        members = [entry for entry in batch if entry.parts]
        if members:
            refused += self._settle_chords(members)
        return refused

    def _settle_chords(self, members: list[Settled]) -> list[Settled]:
        # First the results and the parts, while the messages are still held; then the callbacks of the chords
        # that this completed, with the acknowledgements. A kill in between runs the last part again, which is
        # counted once, and finds the chord complete.
        first = [Settled(one.seq, letter=one.letter, records=one.records, parts=one.parts) for one in members]
        outcome = self._engine.settle(first)
        refused = {id(entry) for entry in outcome.refused}
        second = [
            Settled(
                entry.seq, entry.action, outgoing=entry.outgoing, end=entry.end, forget=entry.forget, told=entry.told
            )
            for entry, copy in zip(members, first, strict=True)
            if id(copy) not in refused
        ]
        callbacks = [self.on_chord(part) for part in outcome.complete if self.on_chord is not None]
        return [*outcome.refused, *self._engine.settle([*callbacks, *second]).refused]

    @staticmethod
    def _report(refused: list[Settled]) -> None:
        for entry in refused:
            if entry.action != "keep":
                logger.warning(
                    "A job's end was refused: its message (%s) is no longer held by this process.", entry.seq
                )
