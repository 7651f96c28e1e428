"""Messages go in, and come out in the order that was promised."""

from __future__ import annotations

import time
from collections import Counter

from umbel.engine.store import Outgoing, Record, Settled
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload, until

__all__ = ("Queueing",)


class Queueing(Suite):
    """C8, C9, C14, C16: order, shares, delays."""

    def test_c14_a_message_is_in_the_store_when_enqueue_returns(self) -> None:
        """The process that dispatched is killed at once; what it had been told is kept is there."""
        writer = self.peer("nothing")
        assert writer.call("enqueue", [Outgoing(QUEUE, payload("a"), "a"), Outgoing(QUEUE, payload("b"), "b")]) == 2
        writer.kill()
        assert ids(self.get()) == ["a", "b"]

    def test_a_payload_comes_back_as_it_was(self) -> None:
        texts = [payload("a", note="käse ☃ 𝄞 \u2028 ' \" \\ \n"), payload("b", note="x" * 200_000), '{"\\ud800": 1}']
        self.engine.enqueue([Outgoing(QUEUE, text, f"t{number}") for number, text in enumerate(texts)])
        assert [delivery.payload for delivery in self.get()] == texts

    def test_a_delivery_tells_what_is_known_of_it(self) -> None:
        before = time.time()
        self.put("a", priority=4)
        delivery = self.get_one()
        assert (delivery.queue, delivery.task_id, delivery.deliveries) == (QUEUE, "a", 1)
        assert (delivery.suspect, delivery.cancelled, delivery.rank) == (False, False, 5)
        assert before <= delivery.enqueued <= time.time()

    def test_c8_the_highest_priority_first_and_in_order_within(self) -> None:
        for number in range(30):
            self.put(f"{number % 10}-{number}", priority=number % 10)
        levels = {level: max(band for band in self.engine.bands if band <= level) for level in range(10)}
        order = sorted(range(30), key=lambda number: (-levels[number % 10], number))
        assert ids(self.get()) == [f"{number % 10}-{number}" for number in order]

    def test_c8_a_higher_priority_overtakes_what_waits(self) -> None:
        self.put("low-1", "low-2", priority=0)
        assert ids(self.get(1)) == ["low-1"]
        self.put("high", priority=9)
        assert ids(self.get(1)) == ["high"]
        assert ids(self.get(1)) == ["low-2"]

    def test_c14_what_was_lost_is_queued_again_once(self) -> None:
        """While no message and no end of it is known, whatever passing state it has left."""
        lost = Outgoing(QUEUE, payload("a"), "a", once=True, revived=True)
        self.engine.settle([Settled(records=[Record("a", "STARTED", False, '{"status": "STARTED"}')])])
        self.engine.enqueue([Outgoing(QUEUE, payload("a"), "a", once=True)])
        assert self.get() == [], "a dispatch that is repeated"
        assert self.engine.enqueue([lost]) == 1
        assert self.engine.enqueue([lost]) == 0
        taken = self.get_one()
        assert self.engine.enqueue([lost]) == 0, "while a worker has it"
        self.engine.settle([Settled(taken.seq, "ack", records=[Record("a", "SUCCESS", True, '{"status": "SUCCESS"}')])])
        assert self.engine.enqueue([lost]) == 0, "after its end"
        assert self.get() == []

    def test_a_fetch_takes_no_more_than_asked_for(self) -> None:
        self.put("a", "b", "c")
        assert ids(self.get(2)) == ["a", "b"]
        assert ids(self.get(2)) == ["c"]
        assert self.get(2) == []

    def test_a_fetch_takes_from_its_own_queues_only(self) -> None:
        self.put("a", queue="one")
        self.put("b", queue="two")
        assert ids(self.engine.fetch({"two": 0, "unheard of": 0}, 10)) == ["b"]
        assert ids(self.engine.fetch({"one": 0}, 10)) == ["a"]

    def test_c9_queues_in_strict_order(self) -> None:
        """A lower queue gets something only when the higher one has nothing, whatever its priorities."""
        for number in range(3):
            self.put(f"low-{number}", queue="low", priority=9)
        for number in range(5):
            self.put(f"high-{number}", queue="high")
        order = {"high": 0, "low": 0}
        assert ids(self.engine.fetch(order, 3)) == ["high-0", "high-1", "high-2"]
        assert ids(self.engine.fetch(order, 3)) == ["high-3", "high-4", "low-0"]
        assert ids(self.engine.fetch(order, 3)) == ["low-1", "low-2"]

    def test_c9_queues_by_weight(self) -> None:
        """Both queues full: shares follow 4 to 1, for a wide window and for one slot."""
        for limit in (10, 3, 1):
            self.engine.purge("high")
            self.engine.purge("low")
            self.put(*(f"h{number}" for number in range(100)), queue="high")
            self.put(*(f"l{number}" for number in range(100)), queue="low")
            got: Counter[str] = Counter()
            while sum(got.values()) < 60:
                batch = self.engine.fetch({"high": 4, "low": 1}, limit)
                self.engine.settle([Settled(delivery.seq, "ack") for delivery in batch])
                got.update(delivery.queue for delivery in batch)
            assert 9 <= got["low"] <= 15, f"of {sum(got.values())} at {limit} a fetch, the fifth got {got['low']}"

    def test_c9_a_weighted_queue_takes_what_the_others_leave(self) -> None:
        self.put("a", "b", "c", "d", queue="low")
        assert ids(self.engine.fetch({"high": 4, "low": 1}, 4)) == ["a", "b", "c", "d"]

    def test_once_is_queued_once_while_it_waits(self) -> None:
        """C6: repeating a dispatch with its id is safe, whether it waits, is held, or has ended."""
        assert self.put("a", once=True) == 1
        assert self.put("a", once=True) == 0
        delivery = self.get_one()
        assert self.put("a", once=True) == 0
        self.finish(delivery)
        assert self.put("a", once=True) == 0
        assert self.get() == []

    def test_once_counts_within_one_batch_too(self) -> None:
        assert self.put("a", "b", "a", "a", once=True) == 2
        assert sorted(map(str, ids(self.get()))) == ["a", "b"]

    def test_an_id_may_be_queued_again_on_purpose(self) -> None:
        self.put("a")
        self.put("a")
        assert ids(self.get()) == ["a", "a"]

    def test_c16_delayed_until_its_time_and_not_before(self) -> None:
        due = time.time() + 0.4
        self.put("soon", due=due)
        self.put("later", due=due + 3600)
        first = until(self.get, "the delayed message")
        assert time.time() >= due, "it came before its time"
        assert ids(first) == ["soon"]
        assert self.get() == []

    def test_c16_what_is_due_takes_its_place_by_priority(self) -> None:
        self.put("first")
        self.put("due", due=time.time() - 1, priority=9)
        assert ids(self.get()) == ["due", "first"]

    def test_c16_a_delay_outlives_the_process_that_set_it(self) -> None:
        writer = self.peer("nothing")
        writer.call("enqueue", [Outgoing(QUEUE, payload("a"), "a", due=time.time() + 0.2)])
        writer.kill()
        assert ids(until(self.get, "the delayed message")) == ["a"]

    def test_c16_thousands_come_due_together(self) -> None:
        self.put(*(f"t{number}" for number in range(2500)), due=time.time() - 1)
        seen: list[str | None] = []

        def all_came() -> bool:
            seen.extend(ids(self.get(500)))
            return len(seen) >= 2500

        until(all_came, "all that is due")
        assert len(set(seen)) == 2500

    def test_take_removes_what_it_returns(self) -> None:
        """Listeners do not acknowledge: nothing of it is held, nothing comes back."""
        self.put("a", "b", "c")
        assert ids(self.engine.take(QUEUE, 2)) == ["a", "b"]
        self.engine.close_lease()
        assert ids(self.engine.take(QUEUE, 2)) == ["c"]
        assert self.engine.take("unheard of", 2) == []
