"""Batches count each member once, and queue each callback once (issue 4)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from umbel.engine.batches import ANY, CANCELLED, DONE, FAILED, KINDS, MILLION, Batches, MemberEnd, Plan, Tally
from umbel.engine.beside_batches import BatchBook
from umbel.engine.state import Posted
from umbel.engine.store import Outgoing, Record, Settled
from umbel.errors import BatchEnded, BatchError, BatchNotFound
from umbel.testing.contract._suite import QUEUE, Suite, end, ids, payload, until

__all__ = ("BatchPromises", "BesideBatches", "EngineBatches")


class BatchPromises:
    """What batches promise, whoever keeps them."""

    def batches(self) -> Batches:
        """Return the batches of an empty store."""
        raise NotImplementedError

    def count(self, *ends: MemberEnd) -> None:
        """Write the ends of members in one step."""
        raise NotImplementedError

    def queued(self) -> list[str]:
        """Return the ids of what has been queued since the last time."""
        raise NotImplementedError

    # -- short words ------------------------------------------------------------------------------------------

    def begin(self, members: int = 0, *, closed: bool = True, allowed: int = 0, share: bool = False) -> Batches:
        """Open the batch ``b`` with members ``m0``, ``m1``, …, which are queued."""
        batches = self.batches()
        called = {kind: [message(kind)] for kind in KINDS}
        assert batches.open(Plan(id="b", name="import", allowed=allowed, share=share, callbacks=called))
        if members:
            names = [f"m{number}" for number in range(members)]
            assert batches.add("b", [message(name) for name in names]) == members
            assert self.queued() == names
        if closed:
            batches.close("b")
        return batches

    def ended(self, outcome: str, *numbers: int) -> None:
        """Let members end, all in one step."""
        self.count(*(MemberEnd("b", f"m{number}", outcome) for number in numbers))

    def tally(self) -> Tally:
        """Return the batch as it is now."""
        found = self.batches().read("b")
        assert found is not None
        return found

    def counts(self) -> tuple[int, int, int, int, int]:
        """Return total, done, failed, gone and pending."""
        now = self.tally()
        return now.total, now.done, now.failed, now.gone, now.pending

    # -- counting ---------------------------------------------------------------------------------------------

    def test_batch_all_done_calls_then_and_finally_once(self) -> None:
        batches = self.begin(3)
        assert self.counts() == (3, 0, 0, 0, 3)
        self.ended(DONE, 0, 1)
        assert self.queued() == []
        self.ended(DONE, 2)
        assert self.queued() == ["then", "finally"]
        assert self.counts() == (3, 3, 0, 0, 0)
        assert self.tally().finished is not None
        for _ in range(2):
            self.ended(DONE, 0, 1, 2)
            batches.close("b")
            batches.repair("b")
        assert self.queued() == []
        assert self.counts() == (3, 3, 0, 0, 0)

    def test_batch_a_member_counts_once_however_often_it_ends(self) -> None:
        self.begin(2)
        for _ in range(3):
            self.ended(DONE, 0)
        self.ended(DONE, 0, 0, 0)
        self.ended(FAILED, 0)
        self.ended(CANCELLED, 0)
        assert self.counts() == (2, 1, 0, 0, 1)
        self.count(MemberEnd("b", "stranger", DONE), MemberEnd("unknown", "m1", DONE))
        assert self.counts() == (2, 1, 0, 0, 1)
        assert self.queued() == []

    def test_batch_nothing_is_over_before_it_is_closed(self) -> None:
        batches = self.begin(1, closed=False)
        self.ended(DONE, 0)
        assert self.queued() == []
        assert batches.add("b", [message("m1")]) == 1
        assert self.queued() == ["m1"]
        batches.close("b")
        assert self.queued() == []
        self.ended(DONE, 1)
        assert self.queued() == ["then", "finally"]

    def test_batch_an_empty_one_is_over_when_it_is_closed(self) -> None:
        self.begin()
        assert self.queued() == ["then", "finally"]
        assert self.tally().finished is not None

    def test_batch_members_add_members(self) -> None:
        batches = self.begin(1)
        assert batches.add("b", [message("m1"), message("m2")]) == 2
        self.ended(DONE, 0, 1)
        assert self.queued() == ["m1", "m2"]
        self.ended(DONE, 2)
        assert self.queued() == ["then", "finally"]

    def test_batch_what_is_a_member_is_not_queued_again(self) -> None:
        batches = self.begin(2)
        self.ended(DONE, 0)
        assert batches.add("b", [message("m0"), message("m1"), message("m2"), message("m2")]) == 1
        assert self.queued() == ["m2"]
        assert self.counts() == (3, 1, 0, 0, 2)
        self.ended(DONE, 1, 2)
        assert self.queued() == ["then", "finally"]
        assert batches.add("b", [message("m0")]) == 0, "also when it is over"
        assert self.queued() == []

    def test_batch_one_that_is_over_takes_no_more(self) -> None:
        batches = self.begin(1)
        self.ended(DONE, 0)
        self.queued()
        assert refuses(batches, "b", "m0", "new") is BatchEnded
        assert refuses(batches, "unknown", "new") is BatchNotFound
        assert self.queued() == []
        assert self.counts() == (1, 1, 0, 0, 0)

    def test_batch_is_opened_once(self) -> None:
        batches = self.begin(1)
        self.ended(DONE, 0)
        assert not batches.open(Plan(id="b", name="again", allowed=ANY))
        assert (self.tally().name, self.tally().done) == ("import", 1)

    # -- failures ---------------------------------------------------------------------------------------------

    def test_batch_catch_comes_at_the_first_failure_beyond_what_is_allowed(self) -> None:
        self.begin(4, allowed=1)
        self.ended(FAILED, 0)
        assert self.queued() == []
        self.ended(CANCELLED, 1)
        assert self.queued() == ["catch"]
        self.ended(FAILED, 2)
        assert self.queued() == []
        self.ended(DONE, 3)
        assert self.queued() == ["finally"]
        assert self.counts() == (4, 1, 2, 1, 0)

    def test_batch_within_what_is_allowed_it_succeeds(self) -> None:
        self.begin(3, allowed=2)
        self.ended(FAILED, 0, 1)
        self.ended(DONE, 2)
        assert self.queued() == ["then", "finally"]

    def test_batch_any_number_may_fail(self) -> None:
        self.begin(3, allowed=ANY)
        self.ended(FAILED, 0, 1, 2)
        assert self.queued() == ["then", "finally"]

    def test_batch_a_share_is_one_of_all_members(self) -> None:
        """0.29 * 100 is less than 29 in floating point."""
        batches = self.begin(100, allowed=round(0.29 * MILLION), share=True, closed=False)
        self.ended(FAILED, *range(30))
        assert self.queued() == [], "more may come"
        batches.close("b")
        assert self.queued() == ["catch"]
        self.ended(DONE, 29, *range(30, 100))
        assert self.counts() == (100, 71, 29, 0, 0)
        assert self.queued() == ["then", "finally"], "29 of 100 are 29 %"

    def test_batch_a_failure_that_is_mended_counts_as_done(self) -> None:
        self.begin(2)
        self.ended(FAILED, 0)
        self.ended(DONE, 1)
        assert self.queued() == ["catch", "finally"]
        self.ended(FAILED, 0)
        assert self.queued() == []
        self.ended(DONE, 0)
        assert self.counts() == (2, 2, 0, 0, 0)
        assert self.queued() == ["then"]
        self.ended(FAILED, 0)
        assert self.counts() == (2, 2, 0, 0, 0)

    # -- cancelling -------------------------------------------------------------------------------------------

    def test_batch_one_that_is_cancelled_takes_no_more_and_calls_finally_only(self) -> None:
        batches = self.begin(2, closed=False)
        assert batches.cancel("b")
        assert not batches.cancel("b")
        assert not batches.cancel("unknown")
        assert refuses(batches, "b", "new") is BatchEnded
        self.ended(CANCELLED, 0)
        self.ended(DONE, 1)
        assert self.queued() == ["finally"]
        assert (self.tally().cancelled, self.tally().closed) == (True, True)

    def test_batch_one_that_is_over_is_not_cancelled(self) -> None:
        batches = self.begin(1)
        self.ended(DONE, 0)
        assert not batches.cancel("b")
        assert not self.tally().cancelled

    # -- looking ----------------------------------------------------------------------------------------------

    def test_batch_it_is_found(self) -> None:
        batches = self.begin(2)
        batches.open(Plan(id="c", name="other", owner="ann", opener="job"))
        other, first = batches.find(10)
        assert [one.id for one in batches.find(1)] == ["c"]
        assert (first.id, other.owner, other.opener, first.owner) == ("b", "ann", "job", None)
        assert batches.read("unknown") is None
        assert abs(first.created - time.time()) < 600
        later = time.time() + 600
        assert {one.id for one in batches.stale(later, 10)} == {"b", "c"}
        assert batches.stale(first.created - 600, 10) == []
        self.ended(DONE, 0)
        assert [one for page in batches.pending("b") for one in page] == [("m1", True)]
        self.ended(DONE, 1)
        assert [one.id for one in batches.stale(later, 10)] == ["c"]
        batches.sweep()
        assert len(batches.find(10)) == 2

    def test_batch_threads_that_race_count_each_member_once(self) -> None:
        """50 threads: each member ends twice, by two of them at the same time, while others are added."""
        members = 50
        batches = self.begin(members, allowed=ANY)
        batches.add("b", [message("last")])
        outcomes = (DONE, FAILED)

        def work(number: int) -> None:
            self.ended(outcomes[number % 2], number % members)
            self.ended(DONE, (number + 1) % members)

        with ThreadPoolExecutor(50) as threads:
            list(threads.map(work, range(2 * members)))
        assert self.counts() == (members + 1, members, 0, 0, 1)
        with ThreadPoolExecutor(50) as threads:
            list(threads.map(lambda _: self.count(MemberEnd("b", "last", DONE)), range(50)))
        assert self.queued() == ["last", "then", "finally"]


def message(task_id: str) -> Outgoing:
    """Return a member's message, or a callback's."""
    return Outgoing(QUEUE, payload(task_id), task_id)


def refuses(batches: Batches, batch_id: str, *task_ids: str) -> type[BatchError] | None:
    """Try to add members; return the type of the error that this gives."""
    try:
        batches.add(batch_id, [message(task_id) for task_id in task_ids])
    except BatchError as error:
        return type(error)
    return None


class BesideBatches(Batches):
    """The batches of a state store as those of an engine; ``posted`` is what would be published."""

    def __init__(self, book: BatchBook) -> None:
        self.book = book
        self.posted: list[Posted] = []

    def open(self, plan: Plan) -> bool:
        return self.book.open(plan)

    def add(self, batch_id: str, messages: Sequence[Outgoing]) -> int:
        new, posted = self.book.add("-1", batch_id, messages)
        self.posted += posted
        return new

    def _turn(self, what: str, batch_id: str) -> bool:
        changed, posted = self.book.turn("-1", what, batch_id)
        self.posted += posted
        return changed

    def close(self, batch_id: str) -> None:
        self._turn("close", batch_id)

    def cancel(self, batch_id: str) -> bool:
        return self._turn("cancel", batch_id)

    def repair(self, batch_id: str) -> None:
        self._turn("recount", batch_id)

    def stop(self, records: Sequence[Record]) -> None:
        self.book.stop(records)

    def read(self, batch_id: str) -> Tally | None:
        return self.book.read(batch_id)

    def find(self, limit: int) -> list[Tally]:
        return self.book.find(limit)

    def stale(self, before: float, limit: int) -> list[Tally]:
        return self.book.stale(before, limit)

    def pending(self, batch_id: str) -> Iterator[list[tuple[str, bool]]]:
        return self.book.pending(batch_id)

    def sweep(self) -> None:
        self.book.sweep()


class EngineBatches(Suite, BatchPromises):
    """The batches of an engine, which counts what its jobs' ends say."""

    def batches(self) -> Batches:
        return self.engine.batches

    def count(self, *ends: MemberEnd) -> None:
        self.engine.settle([Settled(end=one) for one in ends])

    def queued(self) -> list[str]:
        return [str(one) for one in ids(self.get(1000))]

    def test_c18_a_member_is_counted_with_its_acknowledgement(self) -> None:
        batches = self.engine.batches
        batches.open(Plan(id="b", name="import", callbacks={"then": [message("then")]}))
        batches.add("b", [message("m0")])
        batches.close("b")
        delivery = self.get_one()
        self.finish(delivery, end=MemberEnd("b", "m0", DONE))
        assert ids(self.get()) == ["then"]
        assert self.counts() == (1, 1, 0, 0, 0)

    def test_c15_a_stale_owner_counts_nothing(self) -> None:
        batches = self.begin(closed=False)
        batches.add("b", [message("m0")])
        stale = self.get_one()
        self.engine.settle([Settled(stale.seq, "requeue")])
        entry = Settled(stale.seq, "ack", records=[end(stale)], end=MemberEnd("b", "m0", DONE))
        assert self.engine.settle([entry]).refused == (entry,)
        assert self.counts() == (1, 0, 0, 0, 1)

    def test_c22_a_job_that_was_cancelled_meanwhile_is_not_done(self) -> None:
        batches = self.begin(closed=False, allowed=1)
        batches.add("b", [message("m0")])
        delivery = self.get_one()
        assert self.engine.cancel("m0", None)
        self.finish(delivery, end=MemberEnd("b", "m0", DONE))
        assert self.counts() == (1, 0, 0, 1, 0)

    def test_c22_many_jobs_are_cancelled_in_one_step_and_ends_stay(self) -> None:
        self.put("waits", "runs", "ended")
        self.put("later", due=4_000_000_000.0)
        waits, runs, ended = self.get()
        self.engine.settle([Settled(waits.seq, "requeue")])
        self.finish(ended)
        mark = self.engine.cancel_mark()
        names = ("waits", "runs", "ended", "later")
        self.engine.batches.stop([Record(name, "REVOKED", True, '{"status": "REVOKED"}') for name in names])
        assert [self.state(name) for name in names] == ["REVOKED", "REVOKED", "SUCCESS", "REVOKED"]
        until(lambda: self.engine.cancel_mark() != mark, "workers hear of it")
        assert self.engine.cancelled_here() == ["runs"]
        self.finish(runs)
        assert self.state("runs") == "REVOKED"
        assert not self.engine.cancel("ended", None), "no mark is left that would cancel its replay"
        found = {one.task_id: one.cancelled for one in self.get()}
        assert found == {"waits": True, "later": True}, "both are met at once"

    def test_batch_processes_that_race_count_each_member_once(self) -> None:
        """8 processes end 200 members, each twice, in the same order."""
        members = 200
        self.begin(members, allowed=ANY)
        peers = [self.peer() for _ in range(8)]
        ends = [Settled(end=MemberEnd("b", f"m{number}", DONE)) for number in range(members)]
        with ThreadPoolExecutor(8) as threads:

            def work(number: int) -> None:
                for start in range(0, members, 10):
                    peers[number].call("settle", ends[start : start + 10])

            list(threads.map(work, range(8)))
        assert self.counts() == (members, members, 0, 0, 0)
        assert self.queued() == ["then", "finally"]
