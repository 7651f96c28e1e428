"""C23 where a state store is kept beside a broker: what happens to jobs is told in its order, once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

from umbel.engine.state import Keyed
from umbel.engine.store import Outgoing, Settled
from umbel.engine.uniques import UniqueKey
from umbel.state.events import Ended, Ends, Event, Queued
from umbel.testing.contract._state_suite import STATE_QUEUE, StateSuite
from umbel.testing.contract._suite import payload, until

__all__ = ("StateEvents",)


class StateEvents(StateSuite):
    """The log of a state store."""

    def record(self) -> None:
        """Let this process know that there is a recorder."""
        self.state.events.expect()
        until(lambda: self.state.events.known, "this process to hear of the recorder")

    def told(self, limit: int = 1000) -> tuple[Event, ...]:
        """Take everything that has been told, or ``limit`` of it at least."""
        found: list[Event] = []

        def take() -> bool:
            logged = self.state.events.read(limit)
            if logged is not None:
                found.extend(logged.events)
                self.state.events.drop(logged.last)
            return len(found) >= limit or self.state.events.size() == 0

        until(take, "what was told to be read")
        return tuple(found)

    def test_c23_a_store_keeps_its_name(self) -> None:
        name = self.state.events.identity()
        self.state.events.expect()
        assert len(name) >= 16
        assert self.state.events.identity() == name

    def test_c23_nothing_is_kept_while_nobody_records(self) -> None:
        self.note("a")
        self.claim("a")
        self.settle(Settled(1, "ack", told=_ended("a")))
        assert not self.state.events.is_kept()
        assert self.state.events.read(10) is None

    def test_c23_dispatches_ends_and_what_follows_are_told_in_order(self) -> None:
        self.state.events.introduce("here@test", "abc123")
        self.record()
        due = time.time() + 600
        known = [
            Keyed("a", Outgoing(STATE_QUEUE, payload("a"), "a", 6), "shop.greet"),
            Keyed("b", Outgoing("other", payload("b"), "b", due=due), "shop.greet"),
        ]
        self.state.note(known)
        self.claim("a")
        following = Outgoing(STATE_QUEUE, _keyed("next"), "next")
        self.settle(Settled(1, "ack", outgoing=[following], told=_ended("a")))
        assert self.settle(Settled(1, "ack", outgoing=[following], told=_ended("a"))).refused
        first, second, ends, after = self.told()
        assert isinstance(first, Queued)
        assert (first.task_id, first.queue, first.priority, first.due) == ("a", STATE_QUEUE, 6, None)
        assert first.payload == payload("a")
        assert isinstance(second, Queued)
        assert (second.task_id, second.queue) == ("b", "other")
        assert second.due is not None
        assert abs(second.due - due) < 0.001
        assert ends == Ends("here@test", "abc123", [_ended("a")])
        assert isinstance(after, Queued)
        assert after.task_id == "next"

    def test_c23_a_message_and_its_claim_tell_one_moment(self) -> None:
        """By it the history knows which message an end is about."""
        self.record()
        self.note("a")
        assert self.claim("a").enqueued == _when(self.told())
        self.settle(Settled(1, "ack", outgoing=[Outgoing(STATE_QUEUE, _keyed("next"), "next")]))
        assert self.claim("next", seq=2).enqueued == _when(self.told())

    def test_c23_of_jobs_with_a_key_the_one_that_has_it_is_told_of(self) -> None:
        self.record()
        key = UniqueKey("k", 60.0, until_start=False)
        wanted = [
            Keyed(name, Outgoing(STATE_QUEUE, payload(name), name, unique=key), "shop.greet") for name in ("a", "b")
        ]
        assert self.state.note_unique(wanted) == ["a", "a"]
        assert names(self.told()) == ["a"]

    def test_c23_events_are_read_in_pages_and_again_until_they_are_dropped(self) -> None:
        self.record()
        for number in range(5):
            self.note(f"j{number}")
        log = self.state.events

        def all_there() -> bool:
            there = log.read(9)
            return there is not None and len(there.events) == 5

        until(all_there, "all to be read")
        first = log.read(3)
        assert first is not None
        assert names(first.events) == ["j0", "j1", "j2"]
        assert log.read(3) == first
        second = log.read(3, first.last)
        assert second is not None
        assert names(second.events) == ["j3", "j4"]
        log.drop(first.last)
        assert log.read(3) == second
        assert log.size() == 2
        log.drop(second.last)
        assert log.read(3, second.last) is None

    def test_c23_no_event_is_passed_over_while_others_are_on_their_way(self) -> None:
        """Many write at once, one reads and drops: each is read once."""
        self.record()
        ended, found = threading.Event(), []

        def write(worker: int) -> None:
            for number in range(40):
                self.note(f"{worker}-{number}")

        def take() -> None:
            while not ended.is_set():
                found.extend(names(self.told(7)))

        def have_all() -> bool:
            found.extend(names(self.told()))
            return len(found) >= 160

        writers = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
        reader = threading.Thread(target=take)
        for thread in (*writers, reader):
            thread.start()
        for thread in writers:
            thread.join()
        ended.set()
        reader.join()
        until(have_all, "all events")
        told, written = Counter(found), Counter(f"{worker}-{number}" for worker in range(4) for number in range(40))
        assert told == written, f"told and not written: {told - written}; written and not told: {written - told}"


def _ended(task_id: str) -> Ended:
    return Ended(task_id, STATE_QUEUE, 0, "SUCCESS", 1.0, 5.0, 7.0, '{"status": "SUCCESS"}')


def _keyed(task_id: str) -> str:
    return payload(task_id).replace('"properties": {', f'"properties": {{"message_id": "{task_id}", ')


def names(events: Sequence[Event]) -> list[str]:
    """Return the ids of the messages that were queued."""
    return [one.task_id for one in events if isinstance(one, Queued)]


def _when(events: Sequence[Event]) -> float:
    (queued,) = (one for one in events if isinstance(one, Queued))
    return queued.at
