"""Slots that several share end by themselves, and are never more than there are (C34)."""

from __future__ import annotations

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from umbel.engine.store import Outgoing, Settled
from umbel.state.locks import Want
from umbel.state.slots import WOKEN_SECONDS, Slots
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload, until

__all__ = ("EngineSlots", "SlotPromises")

_THREADS: Final = 50
_PEERS: Final = 4


class SlotPromises:
    """C34, whoever keeps the slots."""

    def slots(self) -> Slots:
        """Return the slots of an empty store."""
        raise NotImplementedError

    def test_c34_so_many_have_a_slot_and_others_are_told_for_how_long(self) -> None:
        slots = self.slots()
        first, second = slots.acquire("a", "one", 60, most=2), slots.acquire("a", "two", 90, most=2)
        assert 0 < first.fence < second.fence
        third = slots.acquire("a", "three", 60, most=2)
        assert (third.fence, third.owner) == (0, "one")
        assert 50 < third.seconds <= 60
        assert [one.owner for one in slots.holders("a")] == ["one", "two"]
        assert slots.acquire("a", "three", 60, most=3).fence > second.fence, "there are more now"
        assert slots.acquire("b", "three", 60, most=1).fence
        assert slots.holders("nobody's") == []

    def test_c34_only_the_fencing_number_releases_and_renews(self) -> None:
        slots = self.slots()
        first = slots.acquire("a", "one", 60, most=1).fence
        again = slots.acquire("a", "one", 60, most=1).fence
        assert again > first, "the same owner, started anew: the old one has lost it"
        assert slots.renew([("a", first), ("a", again), ("b", 1)], 600) == [False, True, False]
        assert slots.holders("a")[0].seconds > 500
        assert not slots.release("a", first)
        assert slots.release("a", again)
        assert not slots.release("a", again)
        assert slots.acquire("a", "two", 60, most=1).fence > again

    def test_c34_a_slot_that_is_not_renewed_ends(self) -> None:
        slots = self.slots()
        fence = slots.acquire("a", "one", 0.05, most=1).fence
        until(lambda: not slots.holders("a"), "the end of a slot")
        assert slots.renew([("a", fence)], 60) == [False]
        assert not slots.release("a", fence)
        assert slots.acquire("a", "two", 60, most=1).fence > fence

    def test_c34_many_are_asked_for_and_freed_at_once_as_one_by_one(self) -> None:
        slots = self.slots()
        wants = [Want("b", owner, 60 + place, most=2) for place, owner in enumerate(("one", "two", "three", "one"))]
        first, second, refused, again, other = slots.acquire_many([*wants, Want("a", "one", 60)])
        assert 0 < first.fence < second.fence < again.fence
        assert (refused.fence, refused.owner in ("one", "two"), other.fence > 0) == (0, True, True)
        assert 50 < refused.seconds <= 61
        assert [one.owner for one in slots.holders("b")] == ["two", "one"]
        pairs = [("b", first.fence), ("b", second.fence), ("a", other.fence), ("nobody's", 1)]
        assert slots.release_many(pairs) == [False, True, True, False]
        assert [one.owner for one in slots.holders("b")] == ["one"]
        assert slots.holders("a") == []
        assert (slots.acquire_many([]), slots.release_many([])) == ([], [])

    def test_c34_threads_that_race_are_never_more_than_the_slots(self) -> None:
        slots = self.slots()
        lock, inside, most, numbers = threading.Lock(), set[str](), [0], itertools.count()

        def race(owner: str) -> None:
            while not (grant := slots.acquire("a", owner, 60, most=3)).fence:
                time.sleep(0)
            with lock:
                inside.add(owner)
                most[0] = max(most[0], len(inside))
            next(numbers)
            with lock:
                inside.remove(owner)
            assert slots.release("a", grant.fence)

        with ThreadPoolExecutor(_THREADS) as threads:
            for _ in threads.map(race, [f"t{number}" for number in range(_THREADS)]):
                pass
        assert next(numbers) == _THREADS
        assert most[0] <= 3


class EngineSlots(Suite, SlotPromises):
    """C34, of an engine: what waits for a slot is woken when one is free."""

    def slots(self) -> Slots:
        return self.engine.slots

    def test_c34_processes_that_race_are_never_more_than_the_slots(self) -> None:
        peers = [self.peer() for _ in range(_PEERS)]
        for number, peer in enumerate(peers):
            peer.ask("slot", "a", f"p{number}", 60, most=3)
        assert sum(peer.answer().fence > 0 for peer in peers) == 3

    def test_c34_the_first_who_waits_is_due_when_a_slot_is_free(self) -> None:
        slots = self.engine.slots
        fences = [slots.acquire("a", owner, 60, most=2).fence for owner in ("one", "two")]
        for task_id in ("gone", "x", "y"):
            assert not slots.acquire("a", task_id, 60, most=2, waiter=task_id).fence
            if task_id != "gone":
                self.engine.enqueue([Outgoing(QUEUE, payload(task_id), task_id, due=time.time() + 3600)])
        assert self.get() == []
        for expected, fence in zip(("x", "y"), fences, strict=True):
            slots.release("a", fence)
            (found,) = until(self.get, "the first who waits")
            assert ids([found]) == [expected]
            assert not slots.acquire("a", "new", 60, most=2).fence, "it overtakes who was woken"
            assert slots.acquire("a", expected, 60, most=2, waiter=expected).fence
            self.engine.settle([Settled(found.seq, "ack")])

    def test_c34_a_slot_is_kept_for_who_was_woken_for_a_bounded_time(self) -> None:
        slots = self.engine.slots
        fence = slots.acquire("a", "one", 60, most=1).fence
        assert not slots.acquire("a", "x", 60, most=1, waiter="x").fence
        self.engine.enqueue([Outgoing(QUEUE, payload("x"), "x", due=time.time() + 3600)])
        slots.release("a", fence)
        assert [(one.owner, one.seconds <= WOKEN_SECONDS) for one in slots.holders("a")] == [("x", True)]
        until(lambda: slots.acquire("a", "new", 60, most=1).fence, "its end")
