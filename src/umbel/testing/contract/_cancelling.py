"""A cancelled job stays cancelled (C22)."""

from __future__ import annotations

from umbel.engine.store import Outgoing, Record
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload

__all__ = ("Cancelling",)


class Cancelling(Suite):
    """C22: durable, whoever is up, and never against an end."""

    def cancel(self, task_id: str, *, running: bool = True) -> bool:
        """Cancel with the state that the application stores."""
        return self.engine.cancel(task_id, Record(task_id, "REVOKED", True, "{}"), running=running)

    def test_c22_a_waiting_job_comes_out_cancelled(self) -> None:
        self.put("a", "b")
        assert self.cancel("a")
        found = {delivery.task_id: delivery.cancelled for delivery in self.get()}
        assert found == {"a": True, "b": False}
        assert self.state("a") == "REVOKED"

    def test_c22_a_cancellation_outlives_every_process(self) -> None:
        """Cancelled by a process that is killed, with no worker up; the worker that starts later knows."""
        self.put("a")
        self.engine.close()
        other = self.peer("nothing")
        assert other.call("cancel", "a", Record("a", "REVOKED", True, "{}"))
        other.kill()
        self.engine.open_lease("later@test", [QUEUE], 1)
        assert self.get_one().cancelled
        assert self.state("a") == "REVOKED"

    def test_c22_a_delayed_job_is_cancelled_now(self) -> None:
        """Nobody waits for its time to learn that it never runs."""
        self.put("a", due=4_000_000_000.0)
        assert self.cancel("a")
        assert self.get_one().cancelled

    def test_c22_a_suspect_is_cancelled_too(self) -> None:
        self.put("a")
        other = self.peer()
        other.call("started", other.call("fetch", {QUEUE: 0}, 1)[0].seq)
        other.kill()
        self.engine.reap()
        assert self.cancel("a")
        assert self.get_one(suspects=True).cancelled

    def test_c22_a_finished_job_cannot_be_cancelled(self) -> None:
        for state in ("SUCCESS", "FAILURE", "REVOKED"):
            self.put(state)
            self.finish(self.get_one(), state)
            assert not self.cancel(state)
            assert self.state(state) == state

    def test_c22_a_finished_job_that_was_queued_again_can(self) -> None:
        self.put("a")
        self.finish(self.get_one())
        self.put("a")
        assert self.cancel("a")
        assert self.get_one().cancelled

    def test_c18_the_end_of_a_cancelled_run_changes_nothing(self) -> None:
        self.put("a")
        delivery = self.get_one()
        assert self.cancel("a")
        self.finish(delivery, "SUCCESS")
        assert self.state("a") == "REVOKED"
        assert self.engine.locate("a") is None

    def test_c22_nothing_follows_a_job_that_ended_after_it_was_cancelled(self) -> None:
        """Its worker had not heard of it yet: neither its chain nor its retry goes on."""
        self.put("a", "b")
        first, second = self.get()
        assert self.cancel("a")
        for delivery, following in ((first, "after a"), (second, "after b")):
            self.finish(delivery, outgoing=[Outgoing(QUEUE, payload(following), following)])
        assert ids(self.get()) == ["after b"]

    def test_c22_an_id_may_be_cancelled_before_its_message_comes(self) -> None:
        """A plain revoke that a live worker heard, of a job that another client is about to send."""
        assert self.engine.cancel("a", None)
        self.put("a")
        assert self.get_one().cancelled
        assert self.state("a") is None

    def test_c22_cancelling_twice_is_cancelling_once(self) -> None:
        self.put("a", "b")
        assert self.engine.cancel("a", None)
        assert self.engine.cancel("a", None)
        where = self.engine.locate("a")
        assert where is not None
        assert where.cancelled
        assert ids(self.get()) == ["a", "b"]

    def test_c22_sweeping_forgets_no_cancellation_that_matters(self) -> None:
        self.put("a", due=4_000_000_000.0)
        self.cancel("a")
        self.engine.sweep()
        assert self.get_one().cancelled
