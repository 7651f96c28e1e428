"""Jobs' states, as the result backend keeps and reads them."""

from __future__ import annotations

import time

from umbel.engine.store import Record, Settled
from umbel.testing.contract._suite import QUEUE, Suite, end, passing

__all__ = ("States",)


class States(Suite):
    """C18, C20: what was stored is read back, by every process, until it expires."""

    def test_c20_a_state_comes_back_as_it_was_stored(self) -> None:
        before = time.time()
        for meta in ('{"status": "FAILURE", "x": "käse"}', b"\x00\xff bytes"):
            record = Record("a", "RETRY", False, meta, attempt=3, task="shop.bill", queue="email", owner="user-7")
            self.engine.settle([Settled(records=[record])])
            stored = self.stored("a")
            assert stored is not None
            assert (stored.task_id, stored.state, stored.final, stored.meta) == ("a", "RETRY", False, meta)
            assert (stored.attempt, stored.task, stored.queue, stored.owner) == (3, "shop.bill", "email", "user-7")
            assert before <= stored.updated <= time.time()

    def test_c20_what_a_later_state_does_not_know_is_kept(self) -> None:
        first = Record("a", "STARTED", False, "{}", task="shop.bill", queue="email", owner="user-7")
        self.engine.settle([Settled(records=[first])])
        self.engine.settle([Settled(records=[Record("a", "SUCCESS", True, "{}")])])
        stored = self.stored("a")
        assert stored is not None
        assert (stored.state, stored.task, stored.queue, stored.owner) == ("SUCCESS", "shop.bill", "email", "user-7")

    def test_many_are_read_in_one_step(self) -> None:
        names = [f"t{number}" for number in range(1200)]
        self.engine.settle([Settled(records=[passing(name) for name in names])])
        assert {stored.task_id for stored in self.engine.read([*names, "unknown"])} == set(names)
        assert self.engine.read([]) == []

    def test_another_process_reads_it_at_once(self) -> None:
        other = self.peer("nothing")
        assert other.call("read", ["a"]) == []
        self.put("a")
        self.finish(self.get_one())
        assert [stored.state for stored in other.call("read", ["a"])] == ["SUCCESS"]

    def test_forget_drops_a_state(self) -> None:
        self.put("a", "b")
        for delivery in self.get():
            self.finish(delivery)
        self.engine.forget("a")
        assert (self.state("a"), self.state("b")) == (None, "SUCCESS")

    def test_sweep_drops_what_has_expired_and_nothing_else(self) -> None:
        now = time.time()
        old = [Record(f"old-{number}", "SUCCESS", True, "{}", expires=now - 1) for number in range(6000)]
        kept = [Record("new", "SUCCESS", True, "{}", expires=now + 3600), Record("for ever", "SUCCESS", True, "{}")]
        self.engine.settle([Settled(records=[*old, *kept])])
        self.put("waiting", queue=QUEUE)
        self.engine.sweep()
        left = self.engine.read([*(record.task_id for record in old), "new", "for ever"])
        assert sorted(stored.task_id for stored in left) == ["for ever", "new"]
        assert self.engine.locate("waiting") is not None

    def test_c18_what_an_earlier_try_says_late_changes_nothing(self) -> None:
        """A prefork child tells of its retry when the message is out already. What comes from no try is taken."""
        said = {"task": "shop.bill", "meta": "{}", "final": False}
        for state, attempt, since, kept in (
            ("STARTED", 1, 20.0, "STARTED"),
            ("RETRY", 0, 10.0, "STARTED"),
            ("PROGRESS", 0, 0.0, "PROGRESS"),
            ("STARTED", 2, 30.0, "STARTED"),
            # It was put off: the same try, of an earlier message.
            ("RETRY", 2, 25.0, "STARTED"),
            ("RETRY", 2, 30.0, "RETRY"),
            ("PROGRESS", 2, 35.0, "PROGRESS"),
        ):
            self.engine.settle([Settled(records=[Record("a", state, attempt=attempt, since=since, **said)])])  # type: ignore[arg-type]
            assert self.state("a") == kept
        self.engine.settle([Settled(records=[Record("a", "SUCCESS", True, "{}", attempt=0, since=5.0)])])
        assert self.state("a") == "SUCCESS"

    def test_c18_a_later_message_of_the_same_id_starts_over(self) -> None:
        """A passing state of the new run replaces the old run's end."""
        self.put("a")
        self.finish(self.get_one())
        self.put("a")
        delivery = self.get_one()
        started = passing("a")
        started.since = delivery.enqueued
        self.engine.settle([Settled(delivery.seq, records=[started])])
        assert self.state("a") == "STARTED"
        self.engine.settle([Settled(delivery.seq, "ack", records=[end(delivery, "FAILURE")])])
        assert self.state("a") == "FAILURE"
