"""A queue that is shared among keys gives to each in turn (C34)."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from umbel.engine.fairness import SHARE
from umbel.engine.store import Delivery, Outgoing, Settled
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload, until

__all__ = ("Fairness",)


def _letters(found: list[Delivery]) -> str:
    """The shares of what was fetched, in its order: the first letter of each id."""
    return "".join(str(one.task_id)[0] for one in found)


class Fairness(Suite):
    """C34: one key's many do not delay another's one."""

    def line(self, share: str, count: int, *, first: int = 0, **how: Any) -> list[str]:
        """Queue messages of one share, whose ids begin with its name."""
        names = [f"{share}{number}" for number in range(first, first + count)]
        headers = {SHARE: share} if share != "p" else {}
        self.engine.enqueue([Outgoing(QUEUE, payload(one, **headers), one, **how) for one in names])
        return names

    def drained(self, limit: int) -> list[Delivery]:
        """Fetch and settle everything, so much at a time; return it in its order."""
        found: list[Delivery] = []
        while batch := self.get(limit):
            self.engine.settle([Settled(one.seq, "ack") for one in batch])
            found += batch
        return found

    def test_c34_the_many_of_one_do_not_delay_the_one_of_another(self) -> None:
        self.line("a", 300)
        assert len(self.get(10)) == 10
        self.line("b", 1)
        self.line("c", 1)
        found = self.get(10)
        assert {"b0", "c0"} <= set(ids(found)), ids(found)

    def test_c34_each_gets_as_many_as_the_others(self) -> None:
        for limit in (1, 7, 40):
            for share in "abc":
                self.line(share, 30)
            order = _letters(self.drained(limit))
            assert len(order) == 90
            for end in range(61):
                counts = Counter(order[:end])
                spread = max(counts[one] for one in "abc") - min(counts[one] for one in "abc")
                assert spread <= 2 * max(1, limit // 3) + 1, f"{order[:end]} at {limit} a fetch"

    def test_c34_the_order_within_a_line_is_that_of_dispatch(self) -> None:
        names = {share: self.line(share, 20) for share in "ab"}
        found = ids(self.drained(7))
        for share in "ab":
            assert [one for one in found if str(one)[0] == share] == names[share]

    def test_c34_those_without_a_key_are_one_line_more(self) -> None:
        self.line("p", 60)
        self.line("a", 30)
        self.line("b", 30)
        order = _letters(self.drained(1))
        counts = Counter(order[:60])
        assert max(counts.values()) - min(counts[one] for one in "abp") <= 3, order
        assert order.count("p") == 60
        self.line("p", 3)
        assert _letters(self.drained(10)) == "ppp"

    def test_c34_who_comes_one_by_one_has_no_advantage(self) -> None:
        """A line that was empty does not save up, and one that is refilled each time does not go before all others."""
        for many, single in ("ab", "ba", "ap", "pa"):
            self.line(many, 40)
            order = single
            for number in range(40):
                if order[-1] == single:
                    self.line(single, 1, first=number)
                (one,) = self.get(1)
                order += _letters([one])
                self.engine.settle([Settled(one.seq, "ack")])
            assert 19 <= order.count(single) <= 22, order
            self.engine.purge(QUEUE)

    def test_c34_turns_begin_anew_with_the_last_line_of_a_priority(self) -> None:
        """What those without a key had taken before is not held against them."""
        self.line("b", 1)
        for _ in range(2):
            self.line("p", 30, priority=9)
            self.line("a", 30, priority=9)
            order = ""
            for _ in range(60):
                (one,) = self.get(1)
                order += _letters([one])
                self.engine.settle([Settled(one.seq, "ack")])
            assert 4 <= order[:12].count("p") <= 8, order

    def test_c8_a_higher_priority_goes_first_whoevers_it_is(self) -> None:
        self.line("a", 20)
        self.line("b", 3, priority=9)
        self.line("p", 3, priority=3)
        self.line("c", 1, priority=3)
        order = _letters(self.get(7))
        assert order[:3] == "bbb"
        assert sorted(order[3:]) == ["c", "p", "p", "p"]

    def test_c34_most_urgent_knows_the_lines(self) -> None:
        assert self.engine.most_urgent({QUEUE: 0}) is None
        self.line("a", 2)
        assert self.engine.most_urgent({QUEUE: 0}) == 9
        self.line("b", 1, priority=9)
        assert self.engine.most_urgent({QUEUE: 0}) == 0
        assert len(self.get()) == 3
        assert self.engine.most_urgent({QUEUE: 0}) is None
        self.line("a", 1)
        self.engine.purge(QUEUE)
        assert self.engine.most_urgent({QUEUE: 0}) is None

    def test_c34_what_is_given_back_stands_at_the_head_of_its_line(self) -> None:
        self.line("a", 4)
        self.line("b", 2)
        first = self.get(2)
        self.engine.settle([Settled(one.seq, "requeue") for one in first])
        found = self.drained(1)
        assert [one for one in ids(found) if str(one)[0] == "a"] == ["a0", "a1", "a2", "a3"]
        assert [one for one in ids(found) if str(one)[0] == "b"] == ["b0", "b1"]

    def test_c14_what_a_dead_process_held_goes_back_to_its_line(self) -> None:
        names = self.line("a", 6)
        peer = self.peer()
        assert len(peer.call("fetch", {QUEUE: 0}, 6)) == 6
        self.line("b", 1)
        peer.kill()
        until(lambda: self.engine.reap(peer.token), "what it held")
        found = self.drained(1)
        assert [one for one in ids(found) if one != "b0"] == names
        assert ids(found).index("b0") <= 2

    def test_c17_a_suspect_of_a_line_runs_alone_and_is_known(self) -> None:
        self.line("a", 2)
        peer = self.peer()
        held = peer.call("fetch", {QUEUE: 0}, 2)
        peer.call("started", held[0].seq)
        peer.kill()
        until(lambda: self.engine.reap(peer.token), "what it held")
        assert ids(self.get()) == ["a1"]
        alone = self.get_one(suspects=True)
        self.engine.settle([Settled(alone.seq, "requeue")])
        assert self.get_one(suspects=True).task_id == "a0"

    def test_c16_what_is_due_joins_its_line(self) -> None:
        self.line("a", 30)
        self.line("b", 1, due=time.time() - 1)
        assert "b0" in ids(until(lambda: self.get(4), "some"))
        (queue,) = [one for one in self.engine.queues() if one.name == QUEUE]
        assert (queue.ready, queue.delayed, queue.leased) == (27, 0, 4)

    def test_c34_depth_place_purge_and_pause_know_the_lines(self) -> None:
        self.line("a", 3)
        self.line("b", 2, priority=9)
        self.line("p", 1)
        (queue,) = [one for one in self.engine.queues() if one.name == QUEUE]
        assert queue.ready == 6
        where = self.engine.locate("a2")
        assert where is not None
        assert (where.queue, where.position, where.priority) == (QUEUE, 2, 0)
        self.engine.pause(QUEUE)
        assert self.get() == []
        self.engine.resume(QUEUE)
        assert self.engine.purge(QUEUE) == 6
        assert self.get() == []
        assert self.engine.locate("a2") is None

    def test_c22_a_cancelled_one_is_told_of(self) -> None:
        self.line("a", 2)
        self.engine.cancel("a0", None)
        found = {one.task_id: one.cancelled for one in self.get()}
        assert found == {"a0": True, "a1": False}

    def test_c9_weights_count_the_lines(self) -> None:
        for name in ("high", "low"):
            names = [f"{name}{number}" for number in range(100)]
            self.engine.enqueue([Outgoing(name, payload(one, **{SHARE: one[-1]}), one) for one in names])
        got: Counter[str] = Counter()
        while sum(got.values()) < 60:
            batch = self.engine.fetch({"high": 4, "low": 1}, 5)
            self.engine.settle([Settled(one.seq, "ack") for one in batch])
            got.update(one.queue for one in batch)
        assert 9 <= got["low"] <= 15, got

    def test_c34_a_line_wakes_who_waits(self) -> None:
        assert self.get() == []
        self.engine.wait(0.0)
        peer = self.peer("nothing")
        peer.ask("enqueue", [Outgoing(QUEUE, payload("a", **{SHARE: "a"}), "a")])
        found = until(lambda: self.get() if self.engine.wait(30.0) else [], "the message")
        assert ids(found) == ["a"]
        assert peer.answer() == 1

    def test_c34_a_share_that_no_store_can_carry_is_none(self) -> None:
        self.put("odd", headers={SHARE: "a\nb"})
        self.put("number", headers={SHARE: 7})
        assert sorted(map(str, ids(self.get()))) == ["number", "odd"]
