"""Which share's messages go into which lane of a broker's queue (C34)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final

from umbel.engine.lanes import LANES, LaneBook
from umbel.engine.registry import open_state
from umbel.testing.contract._state_suite import STATE_QUEUE, StateSuite

__all__ = ("StateLanes",)

_LONG: Final = 3600.0


class StateLanes(StateSuite):
    """C34, where the state store leads shares to lanes."""

    @cached_property
    def book(self) -> LaneBook:
        """The lanes, at which nobody looks but the test."""
        self.state.lanes.look_seconds = _LONG
        return self.state.lanes

    def seen(self, *sizes: int) -> None:
        """Say how many messages are in the lanes, and that twice: then all have arrived."""
        for _ in range(2):
            self.looked(*sizes)

    def looked(self, *sizes: int) -> None:
        """Say it once."""
        self.book.look_seconds = 0.0
        assert self.book.place(STATE_QUEUE, {}, [*sizes, *[0] * (LANES - len(sizes))]) == []
        self.book.look_seconds = _LONG

    def placed(self, *shares: str, count: int = 1) -> list[int]:
        """Return the lanes of shares, each with so many messages."""
        found = self.book.place(STATE_QUEUE, dict.fromkeys(shares, count))
        assert found is not None
        return found

    def test_c34_somebody_looks_before_anything_is_placed(self) -> None:
        assert self.book.place(STATE_QUEUE, {"a": 1}) is None
        assert self.book.place(STATE_QUEUE, {"a": 1}, [0] * LANES) == [0]
        assert self.book.queues() == {STATE_QUEUE}
        assert self.placed("a", "b") == [0, 1]
        assert self.book.place("other", {"a": 1}) is None
        self.book.look_seconds = 0.0
        assert self.book.place(STATE_QUEUE, {"a": 1}) is None, "and again"

    def test_c34_each_has_a_lane_of_its_own_until_there_are_more_of_them_than_lanes(self) -> None:
        self.looked()
        assert sorted(self.placed(*map(str, range(LANES)))) == list(range(LANES))
        self.placed("0", count=1000)
        assert self.placed("0", "16", "17", "18") == [0, 1, 2, 3], "the least is in these"

    def test_c34_a_share_keeps_its_lane_while_something_of_it_waits(self) -> None:
        self.looked()
        assert self.placed("a", "b", count=10) == [0, 1]
        self.placed("c", count=1000)
        self.seen(1, 0, 990)
        assert self.placed("a") == [0], "in the order of dispatch"
        assert self.placed("d") == [1]
        assert self.placed("b") == [3], "whose all were taken, and in whose lane is another one now"

    def test_c34_what_is_on_its_way_to_the_broker_is_taken_for_waiting(self) -> None:
        self.looked()
        self.placed("a", count=500)
        self.looked()
        assert self.placed("b") == [1]
        self.looked()
        assert self.placed("b", "c") == [1, 0], "by now it has arrived, and was taken"

    def test_c34_what_was_dropped_holds_nobody_back(self) -> None:
        self.looked()
        self.placed("a", "b", count=500)
        self.seen()
        assert self.placed("c", "a") == [0, 1]

    def test_c34_what_nobody_knows_of_is_in_its_lane(self) -> None:
        """The state store was emptied, and the broker was not."""
        self.seen(10_000, 7)
        assert self.placed("a") == [2]

    def test_c34_two_who_ask_at_a_time_are_told_of_two_lanes(self) -> None:
        self.looked()
        others = [open_state(self.url) for _ in range(4)]
        for one in others:
            one.lanes.look_seconds = _LONG
        try:
            with ThreadPoolExecutor(len(others)) as threads:
                asked: list[Any] = [
                    threads.submit(other.lanes.place, STATE_QUEUE, {f"{number}": 1})
                    for number, other in enumerate(others * 4)
                ]
                assert sorted(one.result()[0] for one in asked) == list(range(LANES))
        finally:
            for other in others:
                other.close()

    def test_c34_shares_of_which_nothing_waits_are_forgotten(self) -> None:
        self.looked()
        self.placed("a", "b", count=10)
        self.seen(3)
        self.book.sweep(STATE_QUEUE)
        # Whoever was forgotten would be known to wait again if the lane became longer.
        self.looked(10, 10)
        assert self.placed("a", "b") == [0, 2]
