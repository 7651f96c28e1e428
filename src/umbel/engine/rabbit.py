"""The RabbitMQ engine: messages at the broker, everything else in a state store.

Guarantees: a message whose :meth:`enqueue` returned is confirmed by the broker; of a live process's messages each has
one execution, whatever the broker delivers again; the job's end is written first and acknowledged then.
Costs: a dispatch is one write to the state store and one confirmed publish, a batch of jobs one claim and one
settlement. See :mod:`umbel.engine.state`.
"""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from umbel.engine.lease import Lease, read_overdue
from umbel.engine.leases import Stale
from umbel.engine.rabbit_batches import RabbitBatches
from umbel.engine.rabbit_delivery import delivery_of
from umbel.engine.rabbit_dispatch import publish
from umbel.engine.rabbit_intake import Intake
from umbel.engine.rabbit_lanes import RabbitLanes
from umbel.engine.rabbit_letters import RabbitLetters
from umbel.engine.rabbit_operations import RabbitOperations
from umbel.engine.rabbit_outbox import Outbox, parcel_again, with_key
from umbel.engine.rabbit_post import Post, suspects_of
from umbel.engine.rabbit_wire import Raw, keyed
from umbel.engine.state import Claim, Claimed, LeaseEnded, State, Verdict
from umbel.engine.store import Delivery, Outgoing, Settled, Settlement

__all__ = ("RabbitEngine",)

logger = logging.getLogger(__name__)

_RENEW_SECONDS: Final = 1.0
#: A delivery of what another process holds stays here for so long, then it makes a round of delayed delivery.
_STAY_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.25
_ROUND_SECONDS: Final = 5.0
#: After so many returns a message is published anew: a broker drops one that came back too often.
_MOST_RETURNS: Final = 10


class RabbitEngine(RabbitOperations):
    """The engine of ``amqp:`` URLs."""

    scheme = "amqp"
    far = True

    def __init__(self, url: str, state: State, *, crash_limit: int = 3, ssl: Any = None) -> None:
        self.url: Final = url
        self.state = state
        self.groups = state.groups
        self.locks, self.breakers, self.checkpoints = state.locks, state.breakers, state.checkpoints
        self.effects, self.events = state.effects, state.events
        self.batches = RabbitBatches(state.batches, lambda: self.outbox, self._token)
        self.limits, self.slots = state.limits, state.slots
        self.letters = RabbitLetters(state, lambda: self.outbox)
        self.crash_limit: Final = crash_limit
        self._ssl: Final = ssl
        self._forget_process()

    def _forget_process(self) -> None:
        self._pid = os.getpid()
        self.post = Post(self.url, ssl=self._ssl)
        self.lanes = RabbitLanes(self.state.lanes, self.post)
        self.outbox = Outbox(self.state, self.lanes)
        self._lease: Lease | None = None
        self._intake: Intake | None = None
        self._seqs = itertools.count(1)
        #: What this process has claimed and not settled.
        self._held: dict[int, Raw] = {}
        #: Queues that somebody has paused, as they were a moment ago.
        self._paused: set[str] = set()
        #: Queues with lanes, as they were consumed last.
        self._shared: set[str] = set()
        self._said: tuple[str, list[str], int] = ("", [], 0)
        self._renewed = 0.0
        self._retired = False

    def _here(self) -> None:
        if self._pid != os.getpid():
            self._forget_process()

    def check(self) -> None:
        """Ask the broker and the state store, so that what is wrong is said now."""
        self._here()
        self.state.check()
        self.post.version()

    # -- messages ---------------------------------------------------------------------------------------------

    def enqueue(self, messages: Sequence[Outgoing]) -> int:
        self._here()
        known = [keyed(one) for one in messages]
        jobs = [one for one, _ in known if one.message.task_id is not None]
        # What was lost is known when it is there: until then it may be sent again, under its key, which one claims.
        first = not any(message.revived for message in messages)
        if jobs and first:
            self.state.note(jobs)
        publish(self.state, self.lanes, known)
        if jobs and not first:
            self.state.note(jobs)
        return len(messages)

    def fetch(self, queues: Mapping[str, int], limit: int, *, suspects: bool = False) -> list[Delivery]:
        self._here()
        if self._lease is None or self._intake is None or self._retired:
            return []
        self._renew()
        self._shared = self.lanes.queues
        if suspects:
            found = self._intake.take_suspect(list(queues)) if self.state.suspects(list(queues)) else None
            return self._claim([found] if found is not None else [], alone=True)
        self._intake.consume([name for name in queues if name not in self._paused], self._shared, limit)
        self._intake.pump()
        self._send_on(self._intake.take_due())
        return self._claim(self._intake.take(limit))

    def _claim(self, found: list[Raw], *, alone: bool = False) -> list[Delivery]:
        assert self._lease is not None
        assert self._intake is not None
        early = [raw for raw in found if self._is_early(raw)]
        found = [raw for raw in found if raw not in early]
        if not found:
            return []
        claims = [
            Claim(next(self._seqs), raw.key, raw.queue, raw.priority, raw.task_id, raw.repeated or raw.unique, alone)
            for raw in found
        ]
        try:
            answers = self.state.claim(self._lease.token, claims)
        except LeaseEnded:
            self._intake.put_back(found)
            self._begin_anew()
            return []
        except BaseException:
            self._intake.put_back(found)
            raise
        deliveries = [self._after(*each) for each in zip(found, claims, answers, strict=True)]
        return [one for one in deliveries if one is not None]

    def _is_early(self, raw: Raw) -> bool:
        """Keep what is due within the second, and send back to wait what is due later."""
        assert self._intake is not None
        left = 0.0 if raw.due is None else raw.due - time.time()
        if left <= 0:
            return False
        if left > 1.0:
            self._send_round(raw, raw.due)
        else:
            self._intake.park(raw, left)
        return True

    def _after(self, raw: Raw, claim: Claim, answer: Claimed) -> Delivery | None:
        assert self._intake is not None
        if answer.verdict is Verdict.RUN:
            self._held[claim.seq] = raw
            return delivery_of(raw, claim, answer)
        if answer.verdict is Verdict.ENDED:
            self._intake.ack([raw])
        elif answer.verdict is Verdict.MINE:
            return self._again(raw, claim, answer)
        elif answer.verdict is Verdict.SUSPECT:
            self._move(raw, suspects_of(raw.queue))
        elif time.monotonic() - raw.since < _STAY_SECONDS:
            self._intake.park(raw, _LOOK_SECONDS)
        else:
            self._send_round(raw, time.time() + _ROUND_SECONDS)
        return None

    def _again(self, raw: Raw, claim: Claim, answer: Claimed) -> Delivery | None:
        assert self._intake is not None
        known = self._held.get(answer.seq)
        if known is None:
            # The answer to the claim was lost.
            self._held[answer.seq] = raw
            return delivery_of(raw, replace(claim, seq=answer.seq), answer)
        if known.generation == raw.generation:
            # A second message of the same key.
            self._intake.park(raw, _LOOK_SECONDS)
        else:
            # Delivered again, because the connection was lost while its job runs here: this tag counts now.
            self._held[answer.seq] = raw
        return None

    def _send_round(self, raw: Raw, due: float | None) -> None:
        """Let a message wait at the broker, under the same key, and come again."""
        self._move(raw, raw.queue, due)

    def _move(self, raw: Raw, queue: str, due: float | None = None) -> None:
        assert self._intake is not None
        self.lanes.send([parcel_again(raw, queue, due)])
        self._intake.ack([raw])

    def _send_on(self, found: Sequence[Raw]) -> None:
        """Let what has come due go into its share's lane."""
        if not found:
            return
        assert self._intake is not None
        try:
            self.lanes.send([parcel_again(raw, raw.queue, raw.due) for raw in found])
        except BaseException:
            # Rather out of its turn than not.
            self._intake.put_back(found)
            raise
        self._intake.ack(found)

    def _give_back(self, found: Sequence[Raw]) -> None:
        assert self._intake is not None
        tired = [raw for raw in found if raw.count >= _MOST_RETURNS]
        for raw in tired:
            self._move(raw, raw.queue)
        self._intake.give_back(raw for raw in found if raw not in tired)

    def most_urgent(self, queues: Mapping[str, int]) -> int | None:
        """Return None: nothing waits here that would have to make way."""
        return None

    def settle(self, entries: Sequence[Settled]) -> Settlement:
        self._here()
        entries = [with_key(entry) for entry in entries]
        outcome = self.state.settle(self._token(), entries, crash_limit=self.crash_limit)
        self.outbox.publish(outcome.posted)
        refused = {id(entry) for entry in outcome.refused}
        self._acknowledge([entry for entry in entries if id(entry) not in refused])
        self._let_go([entry for entry in entries if id(entry) in refused])
        return Settlement(outcome.refused, outcome.complete)

    def _token(self) -> str:
        return self._lease.token if self._lease is not None else f"-{os.getpid()}"

    def _acknowledge(self, entries: Sequence[Settled]) -> None:
        done: list[Raw] = []
        back: list[Raw] = []
        for entry in entries:
            if entry.seq is not None and entry.action != "keep":
                raw = self._drop(entry.seq)
                if raw is not None:
                    (back if entry.action in ("requeue", "crash") else done).append(raw)
        if self._intake is not None:
            self._intake.ack(done)
            self._give_back(back)

    def _let_go(self, refused: Sequence[Settled]) -> None:
        # Somebody else's now: the broker's copy goes back, and is judged by what the state store knows.
        found = [self._drop(entry.seq) for entry in refused if entry.seq is not None and entry.action != "keep"]
        if self._intake is not None:
            self._give_back([raw for raw in found if raw is not None])

    def _drop(self, seq: int) -> Raw | None:
        if self._lease is not None:
            self._lease.end(seq)
        return self._held.pop(seq, None)

    # -- leases -----------------------------------------------------------------------------------------------

    def open_lease(self, hostname: str, queues: Sequence[str], concurrency: int) -> str:
        self.check()
        if self._lease is not None:
            self.close_lease()
        self._lease = self._new_lease(hostname, list(queues), concurrency)
        self._retired = False
        self._intake = Intake(self.url, ssl=self._ssl, on_dead=self._on_dead)
        self._intake.slots = max(1, concurrency)
        return self._lease.token

    def _new_lease(self, hostname: str, queues: list[str], concurrency: int) -> Lease:
        lease = Lease(self.state.leases.run, slots=max(1024, 2 * concurrency))
        try:
            self.state.note_queues(queues)
            self.state.leases.open(lease.token, hostname, queues, concurrency)
        except BaseException:
            lease.release()
            raise
        self._held.clear()
        self._said = hostname, queues, concurrency
        return lease

    def _begin_anew(self) -> None:
        """Others have given back what this process held, because it was out of touch for too long: take a new lease."""
        old = self._lease
        assert old is not None
        logger.warning(
            "This process was out of touch for too long: others have its jobs now, it goes on with new ones."
        )
        held = list(self._held.values())
        self._lease = self._new_lease(*self._said)
        old.release()
        if self._intake is not None:
            self._give_back(held)
        if self.on_lease is not None:
            self.on_lease(self._lease.token)

    def ensure_lease(self, queues: Sequence[str]) -> None:
        """Open a lease if this process has none."""
        self._here()
        if self._lease is None:
            self.open_lease("client", queues, 1)

    def serve(self, slots: int, queues: Sequence[str]) -> None:
        """Let the broker send as many messages as there are slots, and none when there are no queues."""
        if self._intake is not None:
            self._intake.slots = max(1, slots)
            self._intake.ring()  # the next fetch tells the broker
            if not queues:
                self._intake.consume([])

    def renew(self, tokens: Sequence[str]) -> None:
        self.state.leases.renew(tokens)

    def _renew(self) -> None:
        now = time.monotonic()
        if self._lease is not None and now - self._renewed > _RENEW_SECONDS:
            self._renewed = now
            if self.state.leases.renew([self._lease.token]):
                self._begin_anew()
            self._paused = self.state.paused()
            self.lanes.look()

    def overdue(self, token: str, margin: float) -> list[int]:
        return read_overdue(self.state.leases.run, token, margin)

    def close_lease(self) -> None:
        self._here()
        if self._lease is None:
            return
        lease, self._lease = self._lease, None
        intake, self._intake = self._intake, None
        try:
            self.state.release(lease.token, crash_limit=self.crash_limit, crashed=False)
        finally:
            lease.release()
            self._held.clear()
            if intake is not None:
                intake.close()

    def retire(self) -> None:
        self._retired = True
        if self._lease is not None:
            self.state.leases.retire(self._lease.token)
        if self._intake is not None:
            self._intake.retire()

    def started(self, seq: int, limit: float | None = None) -> None:
        if self._lease is not None:
            self._lease.start(seq, limit)

    def reap(self, token: str | None = None, *, crashed: bool = True, overdue: Sequence[int] = ()) -> int:
        self._here()
        freed, leases = 0, self.state.leases
        for info in leases.all():
            abandoned = leases.abandoned(info) if token in (None, info.token) else None
            if abandoned is None:
                continue
            with abandoned:
                freed += self.state.release(
                    info.token,
                    crash_limit=self.crash_limit,
                    crashed=crashed,
                    started=abandoned.started,
                    overdue=overdue,
                    beat=abandoned.beat if isinstance(abandoned, Stale) else None,
                )
        if token is None:
            self.outbox.sweep()
        return freed

    def wait(self, seconds: float, *, full: bool = False, busy: bool = False) -> bool:
        self._here()
        if self._intake is None:
            time.sleep(min(seconds, 0.02))
            return True
        paused = self._paused
        self._renew()
        if full:
            self._send_on(self._intake.take_due())
            self._give_back(self._intake.take_leave())
        told = self._intake.wait(seconds, full=full)
        return told or self._paused != paused or self._shared != self.lanes.queues

    def ring(self) -> None:
        if self._intake is not None:
            self._intake.ring()

    # -- results ----------------------------------------------------------------------------------------------

    def cancelled_here(self) -> list[str]:
        return self.state.cancelled_of(self._lease.token) if self._lease is not None else []

    def cancel_mark(self) -> int:
        return self.state.cancel_mark()

    def close(self) -> None:
        self.close_lease()
        self.post.line.close()
        self.state.close()
