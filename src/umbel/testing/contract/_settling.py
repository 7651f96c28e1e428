"""What an execution leaves behind: all of it once, or nothing."""

from __future__ import annotations

import json
import time

from umbel.engine.burial import letter_of
from umbel.engine.headers import CALLBACK
from umbel.engine.store import ChordPart, Outgoing, Settled
from umbel.testing.contract._suite import QUEUE, Suite, end, ids, passing, payload

__all__ = ("Settling",)


class Settling(Suite):
    """C18: one atomic step, refused when the message is no longer held."""

    def test_c18_state_messages_and_acknowledgement_in_one_step(self) -> None:
        self.put("a")
        following = Outgoing(QUEUE, payload("next"), "next")
        entry = self.finish(self.get_one(), outgoing=[following])
        assert entry.action == "ack"
        assert self.state("a") == "SUCCESS"
        assert self.engine.locate("a") is None
        assert ids(self.get()) == ["next"]

    def test_c15_a_stale_owner_settles_nothing(self) -> None:
        """Given back and taken by another: neither state nor callback nor acknowledgement is accepted."""
        self.put("a")
        stale = self.get_one()
        self.engine.settle([Settled(stale.seq, "requeue")])
        other = self.peer()
        (held,) = other.call("fetch", {QUEUE: 0}, 1)
        for action in ("ack", "requeue", "keep", "crash"):
            part = ChordPart("g", "a", 0, "1", size=1)
            records, outgoing = [end(stale)], [Outgoing(QUEUE, payload("next"), "next")]
            letter = letter_of(stale, "why")
            entry = Settled(stale.seq, action, letter, records=records, outgoing=outgoing, parts=[part])
            outcome = self.engine.settle([entry])
            assert outcome.refused == (entry,), f"{action} was accepted"
            assert outcome.complete == ()
        assert self.state("a") is None
        assert self.engine.dead() == []
        assert self.get() == []
        assert other.call("settle", [Settled(held.seq, "ack")]).refused == []

    def test_c15_a_settled_message_cannot_be_settled_again(self) -> None:
        self.put("a")
        delivery = self.get_one()
        self.finish(delivery)
        again = Settled(delivery.seq, "ack", outgoing=[Outgoing(QUEUE, payload("next"), "next")])
        assert self.engine.settle([again]).refused == (again,)
        assert self.get() == []

    def test_c15_one_refused_entry_does_not_take_the_others_with_it(self) -> None:
        self.put("a", "b", "c")
        one, two, three = self.get()
        self.engine.settle([Settled(two.seq, "ack")])
        entries = [Settled(each.seq, "ack", records=[end(each)]) for each in (one, two, three)]
        assert self.engine.settle(entries).refused == (entries[1],)
        assert [self.state(task_id) for task_id in "abc"] == ["SUCCESS", None, "SUCCESS"]

    def test_c15_without_a_lease_nothing_is_settled(self) -> None:
        self.put("a")
        delivery = self.get_one()
        self.engine.close_lease()
        entry = Settled(delivery.seq, "ack", records=[end(delivery)])
        assert self.engine.settle([entry]).refused == (entry,)
        assert self.state("a") is None

    def test_c18_no_late_write_overwrites_an_end(self) -> None:
        self.put("a")
        delivery = self.get_one()
        self.finish(delivery, "SUCCESS")
        for late in (end(delivery, "FAILURE"), passing("a", "RETRY"), passing("a", "PROGRESS")):
            self.engine.settle([Settled(records=[late])])
            assert self.state("a") == "SUCCESS", f"{late.state} overwrote an end"

    def test_c18_a_message_queued_later_may_overwrite_an_end(self) -> None:
        """The same id dispatched again (a replay, a retry of a rejected job) is a new run."""
        self.put("a")
        self.finish(self.get_one(), "FAILURE")
        self.put("a")
        self.finish(self.get_one(), "SUCCESS")
        assert self.state("a") == "SUCCESS"

    def test_c18_passing_states_follow_each_other(self) -> None:
        self.put("a")
        delivery = self.get_one()
        for state in ("STARTED", "PROGRESS", "RETRY", "STARTED"):
            self.engine.settle([Settled(delivery.seq, records=[passing("a", state)])])
            assert self.state("a") == state
        self.finish(delivery)
        assert self.state("a") == "SUCCESS"

    def test_c21_a_first_state_gives_way_to_one_that_is_there(self) -> None:
        """A prefork child tells how far it is while its parent still says that it has started."""
        self.put("a")
        delivery = self.get_one()
        for state, first in (("STARTED", True), ("PROGRESS", False), ("STARTED", True)):
            self.engine.settle([Settled(delivery.seq, "keep", records=[passing("a", state, first=first)])])
        assert self.state("a") == "PROGRESS"
        self.finish(delivery)
        # An end before it is that of another run.
        self.put("a")
        started = passing("a", first=True)
        started.since = self.get_one().enqueued
        self.engine.settle([Settled(records=[started])])
        assert self.state("a") == "STARTED"

    def test_keep_leaves_the_message_where_it_is(self) -> None:
        self.put("a")
        delivery = self.get_one()
        assert self.engine.settle([Settled(delivery.seq, "keep", records=[passing("a")])]).refused == ()
        assert self.get() == []
        assert self.finish(delivery).seq == delivery.seq
        assert self.state("a") == "SUCCESS"

    def test_what_belongs_to_no_delivery_is_always_written(self) -> None:
        self.engine.settle([Settled(records=[passing("x")], outgoing=[Outgoing(QUEUE, payload("y"), "y")])])
        assert self.state("x") == "STARTED"
        assert ids(self.get()) == ["y"]

    def test_a_requeued_message_returns_to_its_place(self) -> None:
        self.put("a", "b")
        first = self.get(1)[0]
        self.engine.settle([Settled(first.seq, "requeue")])
        found = self.get()
        assert ids(found) == ["a", "b"]
        assert [delivery.deliveries for delivery in found] == [2, 1]
        assert not found[0].suspect

    def test_a_delayed_message_of_an_end_waits_for_its_time(self) -> None:
        """C16: a retry's message."""
        self.put("a")
        later = Outgoing(QUEUE, payload("a", retries=1), "a", due=4_000_000_000.0)
        self.engine.settle([Settled(self.get_one().seq, "ack", records=[passing("a", "RETRY")], outgoing=[later])])
        assert self.get() == []
        where = self.engine.locate("a")
        assert where is not None
        assert (where.due, where.retries) == (4_000_000_000.0, 1)

    # -- chords -----------------------------------------------------------------------------------------------

    def part(self, task_id: str, *, size: int | None = 2, place: int = 0) -> Settled:
        """Return a finished member's first settlement: it still holds its message, if it has one."""
        return Settled(parts=[ChordPart("g", task_id, place, json.dumps(task_id), size)])

    def test_c5_a_chord_is_complete_with_its_last_part(self) -> None:
        assert self.engine.settle([self.part("a")]).complete == ()
        last = self.part("b")
        assert self.engine.settle([last]).complete == tuple(last.parts)

    def test_c5_a_part_counts_once_however_often_its_job_runs(self) -> None:
        for _ in range(3):
            assert self.engine.settle([self.part("a")]).complete == ()
        assert len(self.engine.settle([self.part("b")]).complete) == 1

    def test_c5_all_parts_in_one_batch(self) -> None:
        assert len(self.engine.settle([self.part("a"), self.part("b")]).complete) == 1

    def test_c5_parts_that_came_before_the_size_was_known(self) -> None:
        assert self.engine.settle([self.part("a", size=None), self.part("b", size=None)]).complete == ()
        assert len(self.engine.settle([self.part("c", size=3)]).complete) == 1

    def test_c18_a_chord_whose_callback_was_not_sent_is_found(self) -> None:
        """By the sweeper: whoever ended the last member may have died before, with its message acknowledged."""
        self.engine.groups.set_size("g", 2, None)
        self.engine.groups.grow("g", None)
        self.engine.settle([self.part("a"), self.part("b")])
        later = time.time() + 60
        assert self.engine.groups.complete(later, 10) == [], "it has grown"
        self.engine.settle([self.part("c", size=None)])
        assert self.engine.groups.complete(later, 10) == ["g"]
        assert self.engine.groups.complete(time.time() - 60, 10) == [], "it was heard of just now"
        self.engine.settle([Settled(outgoing=[Outgoing(QUEUE, payload("callback"), "callback")], fired="g")])
        assert self.engine.groups.complete(later, 10) == []

    def test_c18_a_callback_goes_out_once(self) -> None:
        """Killed between the two steps, the last member runs again: the chord is complete again, and fires once."""
        self.engine.groups.save(f"g{CALLBACK}", "kept", None)
        self.engine.settle([self.part("a"), self.part("b")])
        assert len(self.engine.settle([self.part("b")]).complete) == 1, "the repeated part lost the callback"
        for _ in range(2):
            self.engine.settle([Settled(outgoing=[Outgoing(QUEUE, payload("callback"), "callback")], fired="g")])
        assert ids(self.get()) == ["callback"]
        assert self.engine.settle([self.part("b")]).complete == ()
        assert self.engine.groups.parts("g") == [], "parts that nobody will ever read"
        assert self.engine.groups.read(f"g{CALLBACK}") is None, "a callback that has been sent"
