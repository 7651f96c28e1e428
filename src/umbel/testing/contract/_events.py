"""C23: what happens to jobs is told in its order, once, in the step that does it, while somebody records it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from umbel.engine.burial import replay_of
from umbel.engine.store import Delivery, Outgoing, Settled
from umbel.state.events import Ended, Ends, Event, Queued
from umbel.testing.contract._suite import QUEUE, Suite, end, payload, until

__all__ = ("Events",)


class Events(Suite):
    """The log of an engine."""

    def record(self) -> None:
        """Let this process know that there is a recorder."""
        self.engine.events.expect()
        until(self._heard, "this process to hear of the recorder")

    def _heard(self) -> bool:
        self.get()
        return self.engine.events.known

    def told(self, limit: int = 1000) -> tuple[Event, ...]:
        """Take everything that has been told."""
        found = self.engine.events.read(limit)
        if found is None:
            return ()
        self.engine.events.drop(found.last)
        return found.events

    def finish_told(self, delivery: Delivery, state: str = "SUCCESS", **more: object) -> Settled:
        """Settle a fetched job with its end, which is told of."""
        entry = Settled(delivery.seq, "ack", records=[end(delivery, state)], told=ended(delivery, state))
        for name, value in more.items():
            setattr(entry, name, value)
        return entry

    def test_c23_a_store_keeps_its_name(self) -> None:
        name = self.engine.events.identity()
        assert len(name) >= 16
        assert self.engine.events.identity() == name
        assert self.open_engine().events.identity() == name

    def test_c23_nothing_is_kept_while_nobody_records(self) -> None:
        self.put("a")
        self.engine.settle([self.finish_told(self.get_one())])
        assert not self.engine.events.is_kept()
        assert self.engine.events.read(10) is None
        self.engine.events.expect(0.001)
        until(lambda: not self.engine.events.is_kept(), "the recorder's word to end")
        self.put("b")
        assert self.engine.events.size() == 0

    def test_c23_a_message_is_told_of_with_what_its_sender_said(self) -> None:
        self.engine.events.expect()
        before = time.time()
        due = time.time() + 600
        self.engine.enqueue(
            [
                Outgoing(QUEUE, payload("a", word="Größe"), "a", 6),
                Outgoing("other", payload("b"), "b", due=due),
                Outgoing(QUEUE, payload("c"), "c", once=True),
            ]
        )
        self.engine.enqueue([Outgoing(QUEUE, payload("c"), "c", once=True)])
        first, second, third = (one for one in self.told() if isinstance(one, Queued))
        assert (first.task_id, first.queue, first.priority, first.due) == ("a", QUEUE, 6, None)
        assert before - 1 < first.at < time.time() + 1
        assert json.loads(first.payload)["headers"]["word"] == "Größe"
        assert (second.task_id, second.queue, second.priority) == ("b", "other", 0)
        assert second.due is not None
        assert abs(second.due - due) < 0.001
        assert third.task_id == "c", "and the second one with its id was none"

    def test_c23_many_that_are_queued_in_one_step_are_told_of_in_their_order(self) -> None:
        self.engine.events.expect()
        self.put("before")
        due = time.time() + 600
        self.engine.enqueue(
            [
                Outgoing(f"q{number % 3}", payload(f"j{number}"), f"j{number}", number % 7, due if number % 5 else None)
                for number in range(50)
            ]
        )
        self.put("after")
        told = [one for one in self.told() if isinstance(one, Queued)]
        assert [one.task_id for one in told] == ["before", *(f"j{number}" for number in range(50)), "after"]
        for number, one in enumerate(told[1:-1]):
            assert (one.queue, one.priority, one.due is None) == (f"q{number % 3}", number % 7, number % 5 == 0)
            assert one.payload == payload(f"j{number}")

    def test_c23_a_message_and_its_delivery_tell_one_moment(self) -> None:
        """By it the history knows which message an end is about."""
        self.engine.events.expect()
        self.put("a")
        (queued,) = self.told()
        assert isinstance(queued, Queued)
        assert self.get_one().enqueued == queued.at

    def test_c23_an_end_is_told_of_with_its_worker_and_before_what_follows(self) -> None:
        self.engine.events.introduce("here@test", "abc123")
        self.record()
        self.put("a", "b")
        first, second = self.get()
        following = [Outgoing(QUEUE, payload("next"), "next")]
        self.engine.settle([self.finish_told(first), self.finish_told(second, outgoing=following)])
        *queued, ends, after = self.told()
        assert [one.task_id for one in queued if isinstance(one, Queued)] == ["a", "b"]
        assert isinstance(ends, Ends)
        assert (ends.worker, ends.release) == ("here@test", "abc123")
        assert ends.ends == [ended(first), ended(second)]
        assert isinstance(after, Queued)
        assert after.task_id == "next"

    def test_c23_a_refused_end_is_not_told_of(self) -> None:
        """Whether it is the plain kind or another, among some that are not refused."""
        self.record()
        self.put("a", "b", "c", "d")
        one, two, three, four = self.get()
        self.engine.settle([self.finish_told(one), self.finish_told(three)])
        self.told()
        following = [Outgoing(QUEUE, payload("next"), "next")]
        outcome = self.engine.settle(
            [
                self.finish_told(one),
                self.finish_told(two),
                self.finish_told(three, outgoing=following),
                self.finish_told(four, outgoing=following),
            ]
        )
        assert len(outcome.refused) == 2
        ends, after = self.told()
        assert isinstance(ends, Ends)
        assert {one.task_id for one in ends.ends if one is not None} == {"b", "d"}
        assert isinstance(after, Queued)
        assert self.told() == ()

    def test_c23_what_belongs_to_no_delivery_is_told_of_when_it_says_so(self) -> None:
        self.record()
        told = Ended("x", QUEUE, 0, "FAILURE", 0.0, 0.0, time.time(), None, payload("x"))
        self.engine.settle([Settled(records=[], told=told), Settled()])
        (ends,) = self.told()
        assert isinstance(ends, Ends)
        assert ends.ends == [told]

    def test_c23_events_are_read_in_pages_and_again_until_they_are_dropped(self) -> None:
        self.engine.events.expect()
        for number in range(7):
            self.put(f"j{number}")
        log = self.engine.events
        first = log.read(3)
        assert first is not None
        assert names(first.events) == ["j0", "j1", "j2"]
        assert log.read(3) == first, "nothing is lost by reading"
        second = log.read(3, first.last)
        assert second is not None
        assert names(second.events) == ["j3", "j4", "j5"]
        log.drop(first.last)
        assert log.read(3) == second
        log.drop(second.last)
        log.drop(first.last)
        assert log.size() == 1
        third = log.read(3)
        assert third is not None
        assert names(third.events) == ["j6"]
        log.drop(third.last)
        assert log.read(3) is None
        self.put("late")
        last = log.read(3, third.last)
        assert last is not None
        assert names(last.events) == ["late"], "numbers go on"

    def test_c23_whatever_queues_a_message_tells_of_it(self) -> None:
        """A replayed letter; a unique job; one given back was told of when it was queued."""
        self.engine.events.expect()
        self.put("dead", "back")
        dead, back = self.get()
        self.engine.settle([Settled(back.seq, "requeue")])
        letter = self.bury(dead)
        assert names(self.told()) == ["dead", "back"]
        self.engine.letters.replay([replay_of(letter, self.engine.new_tag())])
        assert names(self.told()) == ["dead"]

    def test_c14_no_event_is_lost_with_the_process_that_did_it(self) -> None:
        self.engine.events.expect()
        peer = self.peer("none")
        peer.call("enqueue", [Outgoing(QUEUE, payload(one), one) for one in ("a", "b")])
        peer.kill()
        assert names(self.told()) == ["a", "b"]


def ended(delivery: Delivery, state: str = "SUCCESS") -> Ended:
    """Return what is told of a delivered job's end."""
    assert delivery.task_id is not None
    document = json.dumps({"status": state})
    return Ended(delivery.task_id, delivery.queue, 0, state, delivery.enqueued, 5.0, 7.0, document)


def names(events: Sequence[Event]) -> list[str]:
    """Return the ids of the messages that were queued."""
    return [one.task_id for one in events if isinstance(one, Queued)]
