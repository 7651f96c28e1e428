"""Locks by name end by themselves, and are their owner's only (C31)."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from umbel.engine.store import Outgoing, Settled
from umbel.state.locks import Locks, Want
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload, until

__all__ = ("EngineLocks", "LockPromises")

_THREADS: Final = 50
_PEERS: Final = 4


class LockPromises:
    """C31, whoever keeps the locks."""

    def locks(self) -> Locks:
        """Return the locks of an empty store."""
        raise NotImplementedError

    def test_c31_one_owner_has_a_lock_and_others_are_told_who(self) -> None:
        locks = self.locks()
        first = locks.acquire("a", "one", 60)
        assert (first.fence > 0, first.owner, first.seconds) == (True, "one", 60)
        second = locks.acquire("a", "two", 60)
        assert (second.fence, second.owner) == (0, "one")
        assert 50 < second.seconds <= 60
        assert locks.acquire("b", "two", 60).fence > first.fence
        holder = locks.holder("a")
        assert holder is not None
        assert (holder.fence, holder.owner) == (first.fence, "one")
        assert locks.holder("nobody's") is None

    def test_c31_only_the_fencing_number_releases_and_renews(self) -> None:
        locks = self.locks()
        first = locks.acquire("a", "one", 60).fence
        assert not locks.release("a", first - 1)
        again = locks.acquire("a", "one", 60).fence
        assert again > first, "the same owner, started anew: the old one has lost it"
        assert locks.renew([("a", first), ("a", again), ("b", 1)], 60) == [False, True, False]
        assert not locks.release("a", first)
        assert locks.release("a", again)
        assert not locks.release("a", again)
        assert locks.acquire("a", "two", 60).fence > again

    def test_c31_a_lock_that_is_not_renewed_ends(self) -> None:
        locks = self.locks()
        fence = locks.acquire("a", "one", 0.05).fence
        until(lambda: locks.holder("a") is None, "the end of a lock")
        assert locks.renew([("a", fence)], 60) == [False]
        assert not locks.release("a", fence)
        assert locks.acquire("a", "two", 60).fence > fence

    def test_c31_a_renewed_lock_lasts(self) -> None:
        locks = self.locks()
        fence = locks.acquire("a", "one", 5).fence
        assert locks.renew([("a", fence)], 600) == [True]
        holder = locks.holder("a")
        assert holder is not None
        assert holder.seconds > 500

    def test_c31_many_are_asked_for_and_freed_at_once_as_one_by_one(self) -> None:
        locks = self.locks()
        held = locks.acquire("b", "other", 60)
        wants = [
            Want("c", "one", 60),
            Want("b", "one", 60),
            Want("a", "two", 90),
            Want("c", "three", 60),
            Want("c", "one", 60),
        ]
        first, refused, second, late, again = locks.acquire_many(wants)
        assert 0 < held.fence < min(first.fence, second.fence)
        assert [one.owner for one in (first, refused, second, late, again)] == ["one", "other", "two", "one", "one"]
        assert (refused.fence, late.fence) == (0, 0)
        assert again.fence > first.fence, "the same owner, started anew"
        assert (first.seconds, second.seconds) == (60, 90)
        assert 50 < refused.seconds <= 60
        pairs = [("c", first.fence), ("a", second.fence), ("c", again.fence), ("nobody's", 1), ("a", second.fence + 1)]
        assert locks.release_many(pairs) == [False, True, True, False, False]
        assert [locks.holder(name) is None for name in "abc"] == [True, False, True]
        assert (locks.acquire_many([]), locks.release_many([])) == ([], [])

    def test_c31_threads_that_race_never_hold_one_lock_together(self) -> None:
        locks = self.locks()
        inside, fences, numbers = list[str](), list[int](), itertools.count()

        def race(owner: str) -> None:
            while True:
                grant = locks.acquire("a", owner, 60)
                if grant.fence:
                    break
                time.sleep(0)
            inside.append(owner)
            assert inside == [owner]
            next(numbers)
            fences.append(grant.fence)
            inside.remove(owner)
            assert locks.release("a", grant.fence)

        with ThreadPoolExecutor(_THREADS) as threads:
            for _ in threads.map(race, [f"t{number}" for number in range(_THREADS)]):
                pass
        assert next(numbers) == _THREADS
        assert fences == sorted(set(fences)), "each is larger than all before it"


class EngineLocks(Suite, LockPromises):
    """C31, of an engine: what waits for a lock is woken when it is free."""

    def locks(self) -> Locks:
        return self.engine.locks

    def test_c31_processes_that_race_never_hold_one_lock_together(self) -> None:
        peers = [self.peer() for _ in range(_PEERS)]
        for number, peer in enumerate(peers):
            peer.ask("lock", "a", f"p{number}", 60)
        owners = {grant.owner for grant in (peer.answer() for peer in peers)}
        assert len(owners) == 1

    def test_c31_a_killed_owner_keeps_a_lock_until_it_ends(self) -> None:
        peer = self.peer()
        assert peer.call("lock", "a", "there", 0.2).fence
        peer.kill()
        until(lambda: self.engine.locks.acquire("a", "here", 60).fence, "the lock of a process that is dead")

    def wait_for(self, name: str, task_id: str) -> None:
        """Let a job wait, delayed for long, until the lock is free."""
        assert not self.engine.locks.acquire(name, task_id, 60, waiter=task_id).fence
        self.engine.enqueue([Outgoing(QUEUE, payload(task_id), task_id, due=time.time() + 3600)])

    def test_c31_the_first_who_waits_is_due_when_the_lock_is_free(self) -> None:
        fence = self.engine.locks.acquire("a", "one", 60).fence
        for task_id in ("x", "y", "z"):
            self.wait_for("a", task_id)
        assert self.get() == []
        self.engine.locks.release("a", fence)
        (found,) = until(self.get, "the first who waits")
        assert found.task_id == "x"
        grant = self.engine.locks.acquire("a", "x", 60, waiter="x")
        assert grant.fence
        self.engine.settle([Settled(found.seq, "ack")])
        self.engine.locks.release("a", grant.fence)
        assert ids(until(self.get, "the second who waits")) == ["y"]

    def test_c31_each_lock_that_is_freed_with_others_wakes_its_own(self) -> None:
        fences = [(name, self.engine.locks.acquire(name, "one", 60).fence) for name in "abc"]
        for number, name in enumerate("aabb"):
            self.wait_for(name, f"{name}{number}")
        assert self.get() == []
        assert self.engine.locks.release_many(fences) == [True, True, True]
        found = until(self.get, "the first of each")
        found += until(self.get, "the other one") if len(found) < 2 else []
        assert {one.task_id for one in found} == {"a0", "b2"}

    def test_c31_who_waits_no_more_is_passed_over(self) -> None:
        fence = self.engine.locks.acquire("a", "one", 60).fence
        assert not self.engine.locks.acquire("a", "gone", 60, waiter="gone").fence
        self.wait_for("a", "x")
        self.engine.locks.release("a", fence)
        assert ids(until(self.get, "the one who still waits")) == ["x"]

    def test_c31_many_threads_wait_and_none_is_lost(self) -> None:
        """Each is due in its turn, whatever the order of the rest."""
        fence = self.engine.locks.acquire("a", "one", 60).fence
        names = [f"j{number}" for number in range(20)]
        threads = [threading.Thread(target=self.wait_for, args=("a", name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.engine.locks.release("a", fence)
        ran: list[str] = []
        while len(ran) < len(names):
            (found,) = until(self.get, "the next one")
            assert found.task_id is not None
            grant = self.engine.locks.acquire("a", found.task_id, 60, waiter=found.task_id)
            assert grant.fence
            ran.append(found.task_id)
            self.engine.settle([Settled(found.seq, "ack")])
            self.engine.locks.release("a", grant.fence)
        assert sorted(ran) == sorted(names)
