"""The state store on PostgreSQL: tables in a schema of their own, ``umbel``, made when first used.

One transaction a step, on one connection a process. Results are read by Umbel's clients only.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from umbel.engine import postgres_claims, postgres_outbox, postgres_settle, postgres_uniques
from umbel.engine.envelope import moment
from umbel.engine.leader import Leader
from umbel.engine.leases import run_directory
from umbel.engine.letters import KEEP, LetterLimits, Replay
from umbel.engine.postgres_batches import PostgresBatches
from umbel.engine.postgres_breakers import PostgresBreakers
from umbel.engine.postgres_checkpoints import PostgresCheckpoints
from umbel.engine.postgres_documents import as_stored
from umbel.engine.postgres_effects import PostgresEffects
from umbel.engine.postgres_events import PostgresEvents, tell_queued
from umbel.engine.postgres_groups import PostgresGroups
from umbel.engine.postgres_lanes import PostgresLanes
from umbel.engine.postgres_leader import PostgresLeader
from umbel.engine.postgres_leases import PostgresLeases
from umbel.engine.postgres_letters import PostgresLetters
from umbel.engine.postgres_limits import PostgresLimits
from umbel.engine.postgres_locks import PostgresLocks
from umbel.engine.postgres_records import store
from umbel.engine.postgres_slots import PostgresSlots
from umbel.engine.postgres_store import PostgresStore, Step
from umbel.engine.state import ENDED_SECONDS, Claim, Claimed, Keyed, LeaseEnded, Outcome, Posted, State
from umbel.engine.store import (
    Location,
    Outgoing,
    QueueStatus,
    Record,
    Settled,
    Stored,
    WorkerStatus,
)

__all__ = ("PostgresState",)

_OVERDUE: Final = "hard time limit exceeded, and its process had to be killed"
_SWEEPS: Final = (
    *("results", "claims", "groups", "cancelled", "jobs", "uniques", "locks", "breakers"),
    *("effects", "slots", "limit_starts", "limit_plans", "limit_waits"),
)


class PostgresState(State):
    """State beside another broker, in one PostgreSQL database."""

    groups: PostgresGroups
    checkpoints: PostgresCheckpoints
    events: PostgresEvents
    leases: PostgresLeases
    letters: PostgresLetters

    def __init__(self, url: str, *, keep: LetterLimits = KEEP) -> None:
        self.store = PostgresStore(url)
        self.letters = PostgresLetters(self.store, keep)
        self.groups = PostgresGroups(self.store)
        self.locks = PostgresLocks(self.store)
        self.breakers = PostgresBreakers(self.store)
        self.batches = PostgresBatches(self.store)
        self.checkpoints = PostgresCheckpoints(self.store)
        self.effects = PostgresEffects(self.store)
        self.lanes = PostgresLanes(self.store)
        self.limits = PostgresLimits(self.store)
        self.slots = PostgresSlots(self.store)
        self.events = PostgresEvents(self.store)
        self.leases = PostgresLeases(self.store, run_directory(url))
        self._known: set[str] = set()

    def check(self) -> None:
        self.store.run(lambda step: step.rows("now"))

    @property
    def shown(self) -> str:
        return self.store.shown

    # -- dispatch ---------------------------------------------------------------------------------------------

    def note(self, messages: Sequence[Keyed]) -> None:
        rows = postgres_outbox.note_rows([(one.message, one.key) for one in messages])
        # In one order everywhere, so that two dispatches never wait for each other.
        rows.sort(key=lambda row: str(row["task_id"]))
        new = sorted({one.message.queue for one in messages} - self._known)
        self.events.refresh()
        told = [one.message for one in messages]

        def work(step: Step) -> None:
            if new:
                step.do("note_queue", new)
            step.each("note", rows)
            tell_queued(step, told)

        self.store.run(work)
        self._known.update(new)

    def unnote(self, messages: Sequence[Keyed]) -> None:
        ids = [one.message.task_id for one in messages]
        self.store.run(lambda step: step.do("unnote", ids))

    def note_unique(self, messages: Sequence[Keyed]) -> list[str]:
        self.events.refresh()
        self._note_new({one.message.queue for one in messages})
        return self.store.run(lambda step: postgres_uniques.note_unique(step, messages))

    def unique_holder(self, name: str) -> str | None:
        rows = self.store.run(lambda step: step.rows("unique_holder", name))
        return str(rows[0][0]) if rows else None

    def queue_names(self) -> list[str]:
        return [name for (name,) in self.store.run(lambda step: step.rows("queue_names"))]

    def note_queues(self, names: Sequence[str]) -> None:
        self.store.run(lambda step: step.do("note_queue", list(names)))

    # -- claims -----------------------------------------------------------------------------------------------

    def claim(self, token: str, claims: Sequence[Claim]) -> list[Claimed]:
        def work(step: Step) -> list[Claimed] | None:
            if not step.rows("lease_lives", token):
                return None
            return postgres_claims.claim(step, token, claims)

        answers = self.store.run(work)
        if answers is None:
            raise LeaseEnded
        return answers

    def settle(self, token: str, entries: Sequence[Settled], *, crash_limit: int) -> Outcome:
        self._note_new({one.queue for entry in entries for one in entry.outgoing})
        self.events.refresh()
        return self.store.run(
            lambda step: postgres_settle.settle(step, token, entries, self.events, crash_limit=crash_limit)
        )

    def _note_new(self, names: set[str]) -> None:
        new = sorted(names - self._known)
        if new:
            self.note_queues(new)
            self._known.update(new)

    def outbox(self) -> list[Posted]:
        rows = self.store.run(lambda step: step.rows("outbox"))
        return [
            Posted(number, token, at, Outgoing(queue, payload, task_id, priority, due))
            for number, token, at, queue, payload, task_id, priority, due in rows
        ]

    def posted(self, numbers: Sequence[int]) -> None:
        if numbers:
            self.store.run(lambda step: step.do("posted", list(numbers)))

    def release(
        self,
        token: str,
        *,
        crash_limit: int,
        crashed: bool,
        started: Sequence[int] = (),
        overdue: Sequence[int] = (),
        beat: float | None = None,
    ) -> int:
        def work(step: Step) -> int:
            if not step.do("lease_end", token, beat, beat):
                return 0
            held = postgres_claims.held_all(step, token)
            struck = [one.seq for one in held if crashed and one.seq in started]
            alone = len(struck) == 1 and len(held) == 1
            condemned = {one.seq: _OVERDUE for one in held if one.seq in overdue}
            postgres_claims.free(
                step, token, held, crash_limit=crash_limit, struck=struck, alone=alone, condemned=condemned
            )
            return len(held)

        freed = self.store.run(work)
        self.leases.forget(token)
        return freed

    def suspects(self, queues: Sequence[str] | None = None) -> int:
        names = None if queues is None else list(queues)
        return int(self.store.run(lambda step: step.rows("suspects", names, names))[0][0])

    # -- results ----------------------------------------------------------------------------------------------

    def read(self, task_ids: Sequence[str]) -> list[Stored]:
        rows = self.store.run(lambda step: step.rows("read", list(task_ids)))
        return [
            Stored(task_id, state, final, as_stored(meta, is_text), attempt, task, queue, owner, updated)
            for task_id, state, final, meta, is_text, attempt, task, queue, owner, updated in rows
        ]

    def forget(self, task_id: str) -> None:
        self.store.run(lambda step: step.do("forget", task_id))

    def cancel(self, task_id: str, record: Record | None, *, running: bool = True) -> bool:
        def work(step: Step) -> bool:
            ((final, updated, enqueued),) = step.rows("cancel_look", task_id)
            if final and not (enqueued is not None and enqueued > updated):
                return False
            step.do("cancel", task_id, running)
            if record is not None:
                store(step, [record])
            return True

        return self.store.run(work)

    def cancelled_of(self, token: str) -> list[str]:
        return [task_id for (task_id,) in self.store.run(lambda step: step.rows("cancelled_of", token))]

    def cancel_mark(self) -> int:
        return int(self.store.run(lambda step: step.rows("cancel_mark"))[0][0])

    # -- schedules and operations -----------------------------------------------------------------------------

    def leader(self, name: str) -> PostgresLeader:
        return PostgresLeader(self.store, name)

    def tick(
        self, leader: Leader, messages: Sequence[Keyed], entry: str, last_run: float, runs: int
    ) -> list[Posted] | None:
        assert isinstance(leader, PostgresLeader)
        self._note_new({one.message.queue for one in messages})

        def work(step: Step) -> list[Posted] | None:
            if not step.rows("leader_holds", leader.name, leader.term):
                return None
            if not step.do("ticked", entry, last_run, runs):
                return []
            return list(
                postgres_outbox.post(step, "-", [one.message for one in postgres_uniques.wanted(step, messages)])
            )

        return self.store.run(work)

    def last_ticks(self) -> dict[str, tuple[float, int]]:
        rows = self.store.run(lambda step: step.rows("last_ticks"))
        return {entry: (last_run, runs) for entry, last_run, runs in rows}

    def mark_paused(self, queue: str, *, paused: bool) -> None:
        self.store.run(lambda step: step.do("pause", queue, paused))

    def paused(self) -> set[str]:
        return {name for (name,) in self.store.run(lambda step: step.rows("paused"))}

    def counts(self) -> list[QueueStatus]:
        paused = self.paused()

        def work(step: Step) -> tuple[list[str], Counter[str], Counter[tuple[str, str]]]:
            names = [name for (name,) in step.rows("queue_names")]
            delayed = Counter(dict(step.rows("count_delayed")))
            claims = {(queue, kind): count for queue, kind, count in step.rows("count_claims")}
            return names, delayed, Counter(claims)

        names, delayed, claims = self.store.run(work)
        return [
            QueueStatus(
                name, 0, delayed[name], claims[name, "h"], claims[name, "s"] + claims[name, "c"], 0, name in paused
            )
            for name in names
        ]

    def drop_delayed(self, queue: str) -> int:
        return self.store.run(lambda step: step.do("drop_delayed", queue, ENDED_SECONDS))

    def workers(self) -> list[WorkerStatus]:
        return [
            WorkerStatus(
                one.number, one.hostname, one.pid, one.queues, one.concurrency, one.started, self._held(one.token)
            )
            for one in self.leases.all()
            if self.leases.is_alive(one)
        ]

    def _held(self, token: str) -> int:
        return int(self.store.run(lambda step: step.rows("lease_held", token))[0][0])

    def locate(self, task_id: str) -> Location | None:
        rows = self.store.run(lambda step: step.rows("locate", task_id))
        if not rows:
            return None
        queue, priority, task, owner, retries, expires, due, enqueued, lease, deliveries, crashes, *rest = rows[0]
        suspect, is_held, cancelled = rest
        return Location(
            task_id=task_id,
            queue=queue,
            task=task,
            owner=owner,
            priority=priority,
            due=due if due is not None and due > time.time() else None,
            expires=moment(expires),
            lease=lease,
            suspect=suspect,
            deliveries=deliveries + int(is_held),
            crashes=crashes,
            cancelled=cancelled,
            enqueued=enqueued,
            retries=retries,
            position=None,
        )

    def replay(self, wanted: Sequence[Replay]) -> list[tuple[int, Posted]]:
        self._note_new({one.message.queue for one in wanted})

        def work(step: Step) -> list[tuple[int, Posted]]:
            done: list[Replay] = []
            # In one order everywhere, so that two callers never wait for each other.
            for one in sorted(wanted, key=lambda one: one.letter.id):
                if step.do("letter_replay", one.letter.id, one.letter.key, one.letter.replays, one.again):
                    done.append(one)
            posted = postgres_outbox.post(step, "-", [one.message for one in done])
            return [(one.letter.id, message) for one, message in zip(done, posted, strict=True)]

        return self.store.run(work)

    def sweep(self) -> None:
        self.leases.sweep()
        self.letters.prune()
        self.batches.sweep()
        self.checkpoints.sweep()
        for name in _SWEEPS:
            self.store.run(_sweep(f"sweep_{name}"))

    def close(self) -> None:
        self.store.close()


def _sweep(name: str) -> Callable[[Step], int]:
    return lambda step: step.do(name)
