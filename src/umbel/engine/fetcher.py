"""The thread that fetches for a worker: as much as it can start now, and a few milliseconds more.

It leases batches and hands them to Celery's event loop. How far it fetches ahead follows what the jobs take:
for jobs of microseconds some tens, for long ones none, so that no job waits behind a long one in a process while
another process is free, and a higher priority overtakes all but what has been handed out.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from celery.worker import state as worker_state

from umbel.engine.bell import Bell
from umbel.engine.burial import letter_of
from umbel.engine.flusher import Flusher
from umbel.engine.outage import Outage
from umbel.engine.shift import Relieved, Shift
from umbel.engine.store import Delivery, Settled
from umbel.errors import StoreError

if TYPE_CHECKING:
    from umbel.engine.store import Engine

__all__ = ("Fetcher",)

logger = logging.getLogger(__name__)

#: How much work may be fetched ahead, in seconds of the pace so far.
_AHEAD_SECONDS: Final = 0.02
_AHEAD_MOST: Final = 512
_POLL_SECONDS: Final = 1.0
_REAP_SECONDS: Final = 5.0
_SWEEP_SECONDS: Final = 60.0
_HEARD_SECONDS: Final = 0.05
_CANCEL_SECONDS: Final = 0.05
_URGENT_SECONDS: Final = 0.02
_FULL_SECONDS: Final = 0.5
#: A store that is far away and has told of nothing new is asked all the same so often.
_UNASKED_SECONDS: Final = 5.0


class Fetcher:
    """Fetches for one worker process."""

    def __init__(
        self,
        engine: Engine,
        flusher: Flusher,
        *,
        slots: Callable[[], int],
        suspects: str = "alone",
        in_process: bool = False,
        outage: Outage | None = None,
    ) -> None:
        """``slots`` tells how many jobs may run at a time. ``suspects``: ``only``, ``never``, or ``alone``.

        ``in_process``: jobs run in this very process, so that what is decoded need not be sent on. ``outage``: what
        those before this one, over connections that were given up, knew of the store's trouble.
        """
        self.engine = engine
        self.flusher = flusher
        self.in_process = in_process
        self._slots = slots
        self._suspects = suspects
        self._queues: dict[str, int] = {}
        self._weights: dict[str, int] = {}
        self._heard: list[str] = []
        self._outstanding = 0
        self._done = 0
        self._count_lock = threading.Lock()
        self._pace = 0.0
        self._paced = time.monotonic()
        self._paced_done = 0
        self._last_suspect = 0.0
        self._stopped = threading.Event()
        self._outage = outage or Outage("Cannot fetch", "Jobs are fetched again")
        self._inbox: deque[Delivery] = deque()
        self._held: list[tuple[float, Delivery]] = []
        self._inbox_lock = threading.Lock()
        self._hub: Any = None
        self._bell: Bell
        self._deliver: Callable[[Delivery], None] | None = None
        #: Starts what it can of a batch from the fetch thread, and returns the rest.
        self.start_plain: Callable[[list[Delivery]], list[Delivery]] = lambda batch: batch
        self._touch: Callable[[], None] = lambda: None
        #: Does what else is to be looked after now and then. Must not block.
        self.on_sweep: Callable[[], None] = lambda: None
        #: Does what is to be looked after while no slot is free. Must not block.
        self.on_full: Callable[[], None] = lambda: None
        self.on_cancelled: Callable[[Sequence[str]], None] | None = None
        self._cancel_mark = -1
        self._next = dict.fromkeys(("reap", "heard", "cancel", "urgent", "fetch", "full"), 0.0)
        self._next["sweep"] = time.monotonic() + 5.0
        self.shift: Final = Shift(self._run)

    # -- the worker's side ------------------------------------------------------------------------------------

    def start(self, hub: Any, deliver: Callable[[Delivery], None], touch: Callable[[], None]) -> None:
        """Begin to fetch; batches are delivered on ``hub``."""
        self._deliver, self._touch = deliver, touch
        # A descriptor of our own: Celery's hub only waits promptly while it has one to read.
        self._hub, self._bell = hub, Bell()
        hub.add_reader(self._bell.fileno(), self._deliver_all)
        self.shift.start()

    def stop(self) -> None:
        """Stop fetching, and give back what was not delivered. What was handed out stays with the worker."""
        with self._inbox_lock:
            self._stopped.set()
            left = list(self._inbox)
            self._inbox.clear()
        self._give_back(left)
        self.engine.ring()
        self.shift.stop(5.0)
        self._give_back([delivery for _, delivery in self._held])
        self._held.clear()
        if self._hub is not None:
            self._hub.remove_reader(self._bell.fileno())
            self._bell.close()
            self._hub = None

    def _give_back(self, batch: list[Delivery]) -> None:
        for delivery in batch:
            # What was only listened to is nobody's any more.
            if delivery.seq:
                self.flusher.submit(Settled(delivery.seq, "requeue"))

    def weigh(self, weights: dict[str, int]) -> None:
        """Set the queues' weights and their order of preference."""
        self._weights = weights

    def consume(self, held: Sequence[str], heard: Sequence[str]) -> None:
        """Fetch from the queues ``held``, and take what comes for ``heard``."""
        order = list(self._weights) + sorted(set(held) - set(self._weights))
        self._queues = {name: self._weights.get(name, 0) for name in order if name in set(held)}
        self._heard = list(heard)
        self.engine.ring()

    def finished(self) -> None:
        """Note that one fetched message needs no slot any more."""
        with self._count_lock:
            self._outstanding -= 1
            self._done += 1
            due = self._outstanding <= self._refill_at and self._asleep
            if due:
                self._asleep = False
        if due:
            self.engine.ring()

    _refill_at = 0
    #: The thread waits, or is about to, for want of a free slot: the first one that gets free rings, once.
    _asleep = False

    def hold(self, delivery: Delivery, seconds: float) -> None:
        """Begin with a fetched message again in ``seconds``. For the fetch thread, from where a batch is started."""
        self._held.append((time.monotonic() + seconds, delivery))

    def look_after(self) -> None:
        """See to what a job keeps from being done, now that it takes its time. Never blocks."""
        self.shift.relieve()
        self.flusher.remind()

    # -- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                if not self._step():
                    self._sleep()
            except Relieved:
                return
            except StoreError as error:
                self._stopped.wait(self._outage.pause(error))
            except Exception:
                logger.exception("Fetching failed; trying again in a second.")
                self._stopped.wait(1.0)

    def _sleep(self) -> None:
        if not self._queues:
            # Whoever takes nothing listens all the same.
            self.engine.wait(_HEARD_SECONDS, full=True)
            return
        if not self._full:
            if self.engine.wait(self._patience(), busy=self._outstanding > 0):
                # Somebody rang: it may be for those who only listen.
                self._next["heard"] = self._next["fetch"] = 0.0
            return
        self._asleep = True
        # A slot that got free since the last look rang nobody.
        if self._room() <= 0:
            self.engine.wait(_URGENT_SECONDS, full=True)
        self._asleep = False

    def _patience(self) -> float:
        if not self._held:
            return _POLL_SECONDS
        return max(0.0, min(_POLL_SECONDS, min(self._held, key=itemgetter(0))[0] - time.monotonic()))

    _full = False

    def _resume(self) -> None:
        """Begin again with what is held and whose time has come."""
        now = time.monotonic()
        ripe = [delivery for at, delivery in self._held if at <= now]
        if ripe:
            self._held = [one for one in self._held if one[0] > now]
            self._hand_over(self.start_plain(ripe))

    def _step(self) -> bool:
        if self._held:
            self._resume()
        # Jobs first: all else can wait for the moment that a fetch takes.
        found = self._fill()
        self._housekeeping()
        return self._listen() or found

    def _fill(self) -> bool:
        room = self._room()
        self._full = room <= 0
        if room <= 0 or not self._queues:
            self._make_way()
            return False
        if time.monotonic() < self._next["fetch"]:
            return False
        batch = self._fetch(room)
        if not batch and self.engine.far and self._suspects == "never":
            # Until something is told of, or this is over.
            self._next["fetch"] = time.monotonic() + _UNASKED_SECONDS
        if batch:
            self._filled = time.monotonic()
            with self._count_lock:
                self._outstanding += len(batch)
            self._hand_over(self.start_plain(batch))
        return bool(batch)

    def _make_way(self) -> None:
        """Give back what waits here for a slot, when something more urgent waits in the store."""
        if self._due("full", _FULL_SECONDS):
            self.on_full()
        # What comes and goes within that time overtakes by itself.
        waited = time.monotonic() - self._filled > _URGENT_SECONDS
        if (
            waited
            and self._outstanding > self._slots()
            and self.surrender is not None
            and self._due("urgent", _URGENT_SECONDS)
        ):
            urgent = self.engine.most_urgent(self._queues)
            if urgent is not None and urgent < self._least_urgent:
                self.surrender()

    def _fetch(self, room: int) -> list[Delivery]:
        if self._suspects == "only":
            return self._take(self._queues, 1, suspects=True) if self._is_empty() else []
        if self._suspects == "alone":
            if self._holding_suspect():
                return []
            if self._is_empty():
                suspects = self._take(self._queues, 1, suspects=True)
                if suspects:
                    self._last_suspect = time.monotonic()
                    self._alone = suspects[0].seq
                    return suspects
        batch = self._take(self._queues, room)
        if batch:
            least = max(delivery.rank for delivery in batch)
            # Of what waits here, which may be of earlier batches too.
            self._least_urgent = max(least, self._least_urgent) if self._outstanding else least
        return batch

    def _take(self, queues: dict[str, int], limit: int, *, suspects: bool = False) -> list[Delivery]:
        found = self.engine.fetch(queues, limit, suspects=suspects)
        self._outage.over()
        return found

    #: How many jobs this process may still run before it is replaced.
    allowance: Callable[[], int] = staticmethod(lambda: 1 << 30)

    def _is_empty(self) -> bool:
        """Whether this process holds nothing, the end of its last job written too: a suspect is to be alone."""
        return self._outstanding == 0 and self.flusher.drain(1.0)

    _retired = False
    _served: tuple[Any, ...] = ()
    _least_urgent = 0
    #: When the last batch came.
    _filled = 0.0
    #: Gives back the jobs that wait in the pool for a slot.
    surrender: Callable[[], None] | None = None

    _alone: int | None = None

    def _holding_suspect(self) -> bool:
        if self._alone is not None and self._outstanding > 0:
            return True
        self._alone = None
        return False

    def _room(self) -> int:
        if worker_state.should_stop is not None or worker_state.should_terminate is not None:
            # Celery's loop may be asleep: it is to see this now.
            self._bell.ring()
            if not self._retired:
                self._retired = True
                self.engine.retire()
            return 0
        slots = max(1, self._slots())
        told = (slots, *self._queues)
        if told != self._served:
            self.engine.serve(slots, list(self._queues))
            self._served = told
        ahead = min(_AHEAD_MOST, int(self._measure() * _AHEAD_SECONDS))
        limit = slots + ahead
        self._refill_at = max(slots - 1, limit // 2)
        outstanding = self._outstanding
        if outstanding > self._refill_at:
            return 0
        return min(limit, self.allowance()) - outstanding

    def _measure(self) -> float:
        now = time.monotonic()
        passed = now - self._paced
        if passed >= 0.02:
            rate = (self._done - self._paced_done) / passed
            self._pace = rate if rate < self._pace else 0.5 * (self._pace + rate)
            self._paced, self._paced_done = now, self._done
        return self._pace

    def _listen(self) -> bool:
        if not self._heard or not self._due("heard", _HEARD_SECONDS):
            return False
        found = False
        for queue in self._heard:
            deliveries = self.engine.take(queue, 50)
            if deliveries:
                found = True
                self._hand_over(deliveries)
        return found

    def _hand_over(self, batch: list[Delivery]) -> None:
        if not batch:
            return
        with self._inbox_lock:
            if not self._stopped.is_set():
                self._inbox.extend(batch)
                self._bell.ring()
                return
        # The connection was given up while these were on their way.
        self._give_back(batch)

    def _deliver_all(self) -> None:
        self._bell.answer()
        deliver = self._deliver
        assert deliver is not None
        while self._inbox:
            delivery = self._inbox.popleft()
            try:
                deliver(delivery)
            except Exception as error:
                logger.exception("Message %d could not be delivered to its consumer.", delivery.seq)
                reason = "could not be delivered to its consumer"
                letter = letter_of(delivery, reason, error=error, release=self.engine.release)
                self.flusher.submit(Settled(delivery.seq, "ack", letter))
                self.finished()

    def _housekeeping(self) -> None:
        if self._due("reap", _REAP_SECONDS):
            self.engine.reap()
            self._touch()
        if self._due("sweep", _SWEEP_SECONDS):
            self.engine.sweep()
            self.on_sweep()
            if self._outstanding == 0:
                self.engine.shrink()
        if self._outstanding and self._due("cancel", _CANCEL_SECONDS):
            self._stop_cancelled()

    def _stop_cancelled(self) -> None:
        mark = self.engine.cancel_mark()
        if mark != self._cancel_mark:
            self._cancel_mark = mark
            cancelled = self.engine.cancelled_here()
            if cancelled and self.on_cancelled is not None:
                self.on_cancelled(cancelled)

    def _due(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now < self._next[what]:
            return False
        self._next[what] = now + every
        return True
