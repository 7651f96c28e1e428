"""What becomes of the jobs of a process that crashed (C17)."""

from __future__ import annotations

from umbel.engine.store import Delivery, Record, Settled
from umbel.testing.contract._suite import QUEUE, Suite, ids

__all__ = ("Crashes",)


class Crashes(Suite):
    """C17: a poison job ends, and its neighbours are not punished."""

    def crash(self, *, start: int, fetch: int = 10, suspects: bool = False) -> None:
        """Let a process fetch, start the first few jobs, and die."""
        other = self.peer()
        held = other.call("fetch", {QUEUE: 0}, fetch, suspects=suspects)
        assert len(held) >= start, f"fetched {held} of {self.engine.queues()}"
        for delivery in held[:start]:
            other.call("started", delivery.seq)
        other.kill()
        self.engine.reap()

    def test_c17_what_had_started_is_a_suspect_and_what_had_not_just_returns(self) -> None:
        self.put("ran-1", "ran-2", "fetched")
        self.crash(start=2)
        plain = self.get_one()
        assert (plain.task_id, plain.deliveries, plain.suspect) == ("fetched", 2, False)
        suspects = self.get(suspects=True)
        assert ids(suspects) == ["ran-1", "ran-2"]
        assert all(delivery.suspect and delivery.deliveries == 2 for delivery in suspects)

    def test_c17_neighbours_are_never_counted(self) -> None:
        """Two jobs in a process that dies over and over: neither is to blame."""
        self.put("a", "b")
        self.crash(start=2)
        for _ in range(self.crash_limit + 1):
            self.crash(start=2, suspects=True)
        assert self.engine.dead() == []
        for task_id in ("a", "b"):
            where = self.engine.locate(task_id)
            assert where is not None
            assert (where.suspect, where.crashes) == (True, 0)

    def test_c17_a_job_that_only_waited_beside_it_is_not_counted_either(self) -> None:
        """One started, one fetched: the started one was not alone in the process."""
        self.put("ran", "fetched")
        self.crash(start=1)
        where = self.engine.locate("ran")
        assert where is not None
        assert (where.suspect, where.crashes) == (True, 0)

    def condemn(self, task_id: str) -> Delivery:
        """Let a job kill its process until it is not run any more; return its message as a worker then gets it."""
        self.put(task_id)
        self.crash(start=1)
        for number in range(1, self.crash_limit):
            where = self.engine.locate(task_id)
            assert where is not None
            assert (where.crashes, where.suspect) == (number, True)
            self.crash(start=1, suspects=True)
        assert self.get(suspects=True) == [], "it would run again"
        return self.get_one()

    def test_c17_a_crash_alone_counts_and_after_the_last_one_it_fails_without_running(self) -> None:
        """A worker gets it once more with the verdict, and fails it as Celery does: errbacks, chords, signals."""
        delivery = self.condemn("poison")
        assert delivery.verdict is not None
        assert "worker lost" in delivery.verdict
        assert delivery.deliveries == self.crash_limit + 1
        letter = self.bury(delivery, delivery.verdict)
        assert (letter.task_id, letter.payload, letter.reason) == ("poison", delivery.payload, delivery.verdict)
        assert self.state("poison") == "FAILURE"
        assert self.engine.locate("poison") is None

    def test_c17_a_verdict_outlives_the_worker_that_was_to_execute_it(self) -> None:
        delivery = self.condemn("poison")
        self.engine.settle([Settled(delivery.seq, "requeue")])
        other = self.peer()
        (held,) = other.call("fetch", {QUEUE: 0}, 1)
        assert held.verdict == delivery.verdict
        other.kill()
        self.engine.reap()
        assert self.get_one().verdict == delivery.verdict

    def test_c17_an_innocent_job_has_no_verdict(self) -> None:
        self.put("innocent")
        assert self.get_one().verdict is None

    def test_c19_a_job_beyond_its_hard_limit_fails_with_its_process(self) -> None:
        """The one that held the interpreter gets the verdict; its neighbours just return."""
        self.put("stuck", "neighbour")
        other = self.peer()
        stuck, neighbour = other.call("fetch", {QUEUE: 0}, 2)
        other.call("started", stuck.seq, 1.0)
        other.call("started", neighbour.seq)
        other.kill()
        assert self.engine.reap(other.token, crashed=False, overdue=[stuck.seq]) == 2
        found = {delivery.task_id: delivery for delivery in self.get()}
        assert "limit" in str(found["stuck"].verdict)
        assert (found["neighbour"].verdict, found["neighbour"].suspect) == (None, False)

    def test_c17_a_suspect_that_ends_well_is_an_ordinary_job(self) -> None:
        self.put("a")
        self.crash(start=1)
        self.finish(self.get_one(suspects=True))
        assert self.state("a") == "SUCCESS"
        assert self.engine.dead() == []

    def test_c17_suspects_are_not_fetched_with_the_others(self) -> None:
        self.put("a")
        self.crash(start=1)
        assert self.get() == []
        assert [status.suspect for status in self.engine.queues() if status.name == QUEUE] == [1]

    def test_c19_a_process_that_was_killed_on_purpose_makes_no_suspects(self) -> None:
        self.put("a")
        other = self.peer()
        delivery = other.call("fetch", {QUEUE: 0}, 1)[0]
        other.call("started", delivery.seq)
        other.kill()
        assert self.engine.reap(other.token, crashed=False) == 1
        again = self.get_one()
        assert (again.suspect, again.deliveries) == (False, 2)

    def test_c17_what_ended_before_the_crash_is_no_suspect(self) -> None:
        self.put("done", "running")
        other = self.peer()
        done, running = other.call("fetch", {QUEUE: 0}, 2)
        other.call("started", done.seq)
        other.call("started", running.seq)
        record = Record("done", "SUCCESS", True, "{}", since=done.enqueued)
        other.call("settle", [Settled(done.seq, "ack", records=[record])])
        other.kill()
        assert self.engine.reap() == 1
        assert ids(self.get(suspects=True)) == ["running"]
        where = self.engine.locate("running")
        assert where is not None
        assert where.crashes == 1

    def test_c17_a_child_that_dies_with_one_job_counts(self) -> None:
        """Prefork: the worker lives, and says which job killed its child."""
        self.put("poison", "other")
        for number in range(self.crash_limit):
            poison = self.get(1, suspects=number > 0)[0]
            assert poison.verdict is None
            self.engine.settle([Settled(poison.seq, "crash")])
        found = {delivery.task_id: delivery.verdict for delivery in self.get()}
        assert "worker lost" in str(found["poison"])
        assert found["other"] is None

    def test_c18_a_crash_never_overwrites_an_end(self) -> None:
        """Cancelled while it ran, and then condemned: whoever gets the message sees both, and cancelled it stays."""
        self.put("a")
        self.crash(start=1)
        for _ in range(self.crash_limit - 2):
            self.crash(start=1, suspects=True)
        assert self.engine.cancel("a", Record("a", "REVOKED", True, "{}"))
        self.crash(start=1, suspects=True)
        delivery = self.get_one()
        assert (delivery.cancelled, delivery.verdict is not None) == (True, True)
        self.finish(delivery, "FAILURE")
        assert self.state("a") == "REVOKED"
