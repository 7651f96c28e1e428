"""Of the jobs that want the same key, one is known (C30)."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from umbel.engine.registry import open_state
from umbel.engine.state import Keyed
from umbel.engine.store import Outgoing, Settled
from umbel.engine.uniques import UniqueKey
from umbel.testing.contract._state_suite import STATE_QUEUE, StateSuite
from umbel.testing.contract._suite import payload

__all__ = ("StateUniques",)


class StateUniques(StateSuite):
    """C30, where the state store keeps the keys."""

    def unique(self, *keys: str, until_start: bool = False, seconds: float = 60.0) -> list[str]:
        """Dispatch jobs that all want one key; return who has it."""
        return self.state.note_unique([_wanted(one, seconds=seconds, until_start=until_start) for one in keys])

    def test_c30_one_job_has_a_key_until_it_has_ended(self) -> None:
        assert self.unique("a", "b") == ["a", "a"]
        assert self.state.locate("b") is None
        assert self.state.unique_holder("key") == "a"
        self.claim("a")
        assert self.unique("c") == ["a"]
        self.settle(Settled(1, "ack"))
        assert self.state.unique_holder("key") is None
        assert self.unique("d") == ["d"]

    def test_c30_a_key_until_the_start_is_free_when_the_job_is_claimed(self) -> None:
        assert self.unique("a", until_start=True) == ["a"]
        assert self.state.unique_holder("key") == "a"
        self.claim("a")
        assert self.state.unique_holder("key") is None
        assert self.unique("b", until_start=True) == ["b"]

    def test_c30_a_cancelled_job_that_waits_has_no_key(self) -> None:
        self.unique("a")
        self.state.cancel("a", None)
        assert self.state.unique_holder("key") is None
        assert self.unique("b") == ["b"]

    def test_c30_a_dispatch_that_failed_has_no_key(self) -> None:
        self.unique("a")
        self.state.unnote([Keyed("a", Outgoing(STATE_QUEUE, payload("a"), "a"))])
        assert self.unique("b") == ["b"]

    def test_c30_a_tick_whose_job_is_known_posts_no_other(self) -> None:
        leader = self.state.leader("shop")
        assert leader.leads()

        def tick(task_id: str, runs: int) -> list[str | None]:
            posted = self.state.tick(leader, [_wanted(task_id)], "hourly", 1000.0 + runs, runs)
            assert posted is not None
            return [one.message.task_id for one in posted]

        assert [tick("a", 1), tick("b", 2)] == [["a"], []]
        self.claim("a")
        self.settle(Settled(1, "ack"))
        assert tick("c", 3) == ["c"]
        leader.resign()

    def test_c30_clients_that_race_are_told_one_job(self) -> None:
        states = [open_state(self.url) for _ in range(8)]
        barrier, found = threading.Barrier(len(states)), list[list[str]]()

        def race(number: int) -> None:
            try:
                for turn in range(10):
                    wanted = _wanted(f"t{number}-{turn}", name=f"key{turn}")
                    barrier.wait()
                    found.append(states[number].note_unique([wanted]))
            except BaseException:
                barrier.abort()
                raise

        # Half of the keys are new, and half were some job's that is gone.
        gone = [_wanted(f"gone{turn}", name=f"key{turn}") for turn in range(0, 10, 2)]
        self.state.note_unique(gone)
        self.state.unnote(gone)
        with ThreadPoolExecutor(len(states)) as threads:
            for _ in threads.map(race, range(len(states))):
                pass
        for state in states:
            state.close()
        assert len(found) == 80
        assert len({holder for (holder,) in found}) == 10, "one a key"


def _wanted(task_id: str, name: str = "key", seconds: float = 60.0, *, until_start: bool = False) -> Keyed:
    key = UniqueKey(name, seconds, until_start)
    return Keyed(task_id, Outgoing(STATE_QUEUE, payload(task_id), task_id, unique=key), "shop.greet")
