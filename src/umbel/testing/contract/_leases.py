"""Who holds a message, and how it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from umbel.engine.store import Settled
from umbel.errors import StoreUnreachable
from umbel.testing.contract._suite import QUEUE, Suite, ids

__all__ = ("Leases",)


class _Lost(list[int]):
    """What an engine tells its store when it reaps, and the moment at which that is lost."""

    def __iter__(self) -> Iterator[int]:
        raise StoreUnreachable("the store", "it went away")

    def __contains__(self, seq: object) -> bool:
        raise StoreUnreachable("the store", "it went away")


class Leases(Suite):
    """C14, C15: a live process's messages are its own; a dead one's return."""

    def test_c15_what_one_holds_nobody_else_gets(self) -> None:
        self.put("a", "b", "c")
        other = self.peer()
        assert ids(other.call("fetch", {QUEUE: 0}, 2)) == ["a", "b"]
        assert ids(self.get()) == ["c"]
        assert other.call("fetch", {QUEUE: 0}, 2) == []

    def test_c15_a_live_process_keeps_its_messages(self) -> None:
        self.put("a", "b")
        other = self.peer()
        first, _ = other.call("fetch", {QUEUE: 0}, 2)
        other.call("started", first.seq)
        assert self.engine.reap() == 0
        assert self.engine.reap(other.token) == 0
        assert self.get() == []
        assert self.get(suspects=True) == []

    def test_c15_a_stopped_process_keeps_its_messages(self) -> None:
        self.put("a")
        other = self.peer()
        delivery = other.call("fetch", {QUEUE: 0}, 1)[0]
        other.pause()
        assert self.engine.reap() == 0
        assert self.get() == []
        other.proceed()
        assert other.call("settle", [Settled(delivery.seq, "ack")]).refused == []

    def test_c14_a_killed_process_gives_back_what_it_had_fetched(self) -> None:
        """Fetched, not started: nobody's fault; they come in their old order, delivered once more."""
        self.put("a", "b", "c")
        other = self.peer()
        other.call("fetch", {QUEUE: 0}, 2)
        other.kill()
        assert self.engine.reap() == 2
        found = self.get()
        assert ids(found) == ["a", "b", "c"]
        assert [delivery.deliveries for delivery in found] == [2, 2, 1]
        assert not any(delivery.suspect for delivery in found)
        assert self.engine.reap() == 0

    def test_c14_every_dead_process_is_found(self) -> None:
        self.put("a", "b", "c")
        others = [self.peer() for _ in range(3)]
        for other in others:
            assert len(other.call("fetch", {QUEUE: 0}, 1)) == 1
        for other in others[:2]:
            other.kill()
        assert self.engine.reap() == 2
        assert sorted(map(str, ids(self.get()))) == ["a", "b"]

    def test_c14_another_process_may_reap(self) -> None:
        self.put("a")
        victim, reaper = self.peer(), self.peer()
        victim.call("fetch", {QUEUE: 0}, 1)
        victim.kill()
        assert reaper.call("reap") == 1
        assert self.engine.reap() == 0
        assert ids(self.get()) == ["a"]

    def test_c14_a_store_that_is_lost_while_one_reaps_keeps_nobody_from_it(self) -> None:
        """The kernel's lock on a dead process's file says that it lives to all but the one who has it."""
        self.put("a")
        victim, reaper = self.peer(), self.peer()
        victim.call("fetch", {QUEUE: 0}, 1)
        victim.kill()
        with suppress(StoreUnreachable):
            assert self.engine.reap(victim.token, overdue=_Lost([7])) is None, "the store was not asked"
        assert reaper.call("reap") == 1
        assert ids(self.get()) == ["a"]

    def test_c19_closing_a_lease_gives_everything_back(self) -> None:
        """An orderly end is nobody's crash: started ones are no suspects."""
        self.put("a", "b")
        first, _ = self.get()
        self.engine.started(first.seq)
        self.engine.close_lease()
        other = self.peer()
        found = other.call("fetch", {QUEUE: 0}, 10)
        assert ids(found) == ["a", "b"]
        assert [delivery.deliveries for delivery in found] == [2, 2]

    def test_c19_a_new_lease_ends_the_old_one(self) -> None:
        self.put("a")
        old = self.get_one()
        self.engine.open_lease("again@test", [QUEUE], 1)
        assert self.finish(old) is not None
        assert self.state("a") is None, "the old lease's settle was accepted"
        assert ids(self.get()) == ["a"]

    def test_an_engine_that_was_closed_opens_again(self) -> None:
        self.put("a")
        self.engine.close()
        self.engine.open_lease("again@test", [QUEUE], 1)
        assert ids(self.get()) == ["a"]

    def test_the_token_names_the_lease_to_reap(self) -> None:
        self.put("a", "b")
        one, two = self.peer(), self.peer()
        one.call("fetch", {QUEUE: 0}, 1)
        two.call("fetch", {QUEUE: 0}, 1)
        one.kill()
        two.kill()
        assert self.engine.reap(two.token) == 1
        assert ids(self.get()) == ["b"]
        assert self.engine.reap(one.token) == 1
