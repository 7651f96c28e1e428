"""C39, C40: schedulers."""

from __future__ import annotations

from umbel.engine.store import Outgoing
from umbel.engine.uniques import UniqueKey
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload

__all__ = ("Schedules",)


class Schedules(Suite):
    """Who leads, and what a tick is."""

    def _out(self, task_id: str) -> list[Outgoing]:
        return [Outgoing(QUEUE, payload(task_id), task_id)]

    def test_c40_a_tick_and_its_messages_are_one_step(self) -> None:
        leader = self.engine.leader("shop")
        assert leader.leads()
        assert self.engine.last_ticks() == {}
        assert self.engine.tick(leader, self._out("a"), "nightly", 1000.5, 1)
        assert self.engine.tick(leader, self._out("b"), "nightly", 2000.123456, 2)
        assert self.engine.last_ticks() == {"nightly": (2000.123456, 2)}
        assert ids(self.get()) == ["a", "b"]
        leader.resign()

    def test_c39_a_tick_that_is_stored_again_is_stored_once(self) -> None:
        """Its sender did not get the answer."""
        leader = self.engine.leader("shop")
        assert leader.leads()
        assert self.engine.tick(leader, self._out("a"), "nightly", 1000.5, 1)
        assert self.engine.tick(leader, self._out("again"), "nightly", 1000.5, 1)
        assert self.engine.tick(leader, self._out("b"), "hourly", 1000.5, 1)
        assert ids(self.get()) == ["a", "b"]
        leader.resign()

    def test_c39_who_leads_goes_on_leading_until_it_resigns(self) -> None:
        leader = self.engine.leader("shop")
        assert [leader.leads() for _ in range(3)] == [True, True, True]
        leader.resign()
        successor = self.engine.leader("shop")
        assert successor.leads()
        successor.resign()

    def test_c40_a_tick_may_send_nothing(self) -> None:
        leader = self.engine.leader("shop")
        assert leader.leads()
        assert self.engine.tick(leader, [], "nightly", 1000.5, 1)
        assert self.engine.last_ticks() == {"nightly": (1000.5, 1)}
        leader.resign()

    def test_c30_a_tick_whose_job_still_waits_queues_no_other(self) -> None:
        leader = self.engine.leader("shop")
        assert leader.leads()

        def tick(task_id: str, runs: int) -> None:
            message = Outgoing(QUEUE, payload(task_id), task_id, unique=UniqueKey("report", 3600.0))
            assert self.engine.tick(leader, [message], "hourly", 1000.0 + runs, runs)

        tick("a", 1)
        tick("b", 2)
        delivery = self.get_one()
        assert delivery.task_id == "a"
        tick("c", 3)
        assert self.get() == [], "it runs"
        self.finish(delivery)
        tick("d", 4)
        assert ids(self.get()) == ["d"]
        assert self.engine.last_ticks() == {"hourly": (1004.0, 4)}, "all of them have run"
        leader.resign()
