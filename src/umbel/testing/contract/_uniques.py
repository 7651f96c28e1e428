"""Of the messages that have the same key, one is queued (C30)."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from umbel.engine.store import Outgoing, Record, Settled
from umbel.engine.uniques import UniqueKey
from umbel.testing.contract._suite import QUEUE, Suite, end, ids, payload, until

__all__ = ("Uniques",)

_THREADS = 50
_PEERS = 4


class Uniques(Suite):
    """C30: one job a key, who has it is told, and it is free when the job is gone, however it went."""

    def message(self, task_id: str, name: str | None = "key", **how: Any) -> Outgoing:
        """Return a message whose job is to have the key ``name``."""
        key = {part: how.pop(part) for part in ("seconds", "until_start") if part in how}
        unique = UniqueKey(name, **{"seconds": 60.0, **key}) if name is not None else None
        return Outgoing(QUEUE, payload(task_id, **how.pop("headers", {})), task_id, unique=unique, **how)

    def put_unique(self, task_id: str, name: str | None = "key", **how: Any) -> str:
        """Queue a job unless another one has its key; return the id of the one that has it."""
        (holder,) = self.engine.uniques.enqueue([self.message(task_id, name, **how)])
        return holder

    def test_c30_one_job_a_key_is_queued_and_all_get_its_id(self) -> None:
        messages = [self.message("a"), self.message("b"), self.message("c", "other"), self.message("d", None)]
        assert self.engine.uniques.enqueue(messages) == ["a", "a", "c", "d"]
        assert self.put_unique("e") == "a"
        assert ids(self.get()) == ["a", "c", "d"]
        assert self.engine.uniques.holder("key") == "a"
        assert self.engine.uniques.holder("nobody's") is None

    def test_c30_a_key_is_free_when_its_job_has_ended(self) -> None:
        self.put_unique("a")
        delivery = self.get_one()
        assert self.put_unique("b") == "a", "it runs"
        self.finish(delivery)
        assert self.engine.uniques.holder("key") is None
        assert self.put_unique("c") == "c"

    def test_c30_a_key_is_its_jobs_through_a_retry(self) -> None:
        self.put_unique("a")
        delivery = self.get_one()
        again = Outgoing(QUEUE, payload("a", retries=1), "a")
        self.engine.settle([Settled(delivery.seq, "ack", outgoing=[again])])
        assert self.put_unique("b") == "a"
        self.finish(self.get_one(), "FAILURE")
        assert self.put_unique("c") == "c"

    def test_c30_a_dead_letter_has_no_key(self) -> None:
        self.put_unique("a")
        self.bury(self.get_one(), "cannot be decoded")
        assert self.put_unique("b") == "b"

    def test_c30_a_worker_that_is_killed_keeps_neither_the_job_nor_the_key(self) -> None:
        peer = self.peer()
        self.put_unique("a")
        assert ids(peer.call("fetch", {QUEUE: 0}, 10)) == ["a"]
        peer.kill()
        assert self.put_unique("b") == "a", "the job is to run again"
        self.engine.reap()
        self.finish(self.get_one(suspects=bool(self.engine.suspects([QUEUE]))))
        assert self.put_unique("c") == "c"

    def test_c30_a_cancelled_job_that_waits_gives_its_key_up_at_once(self) -> None:
        self.put_unique("a")
        self.engine.cancel("a", Record("a", "REVOKED", True, "{}"))
        assert self.engine.uniques.holder("key") is None
        assert self.put_unique("b") == "b"
        self.put_unique("c", "other")
        running = next(one for one in self.get() if one.task_id == "c")
        self.engine.cancel("c", Record("c", "REVOKED", True, "{}"))
        assert self.put_unique("d", "other") == "c", "it may still run"
        self.engine.settle([Settled(running.seq, "ack", records=[end(running, "REVOKED")])])
        assert self.put_unique("e", "other") == "e"

    def test_c30_no_key_is_kept_for_longer_than_it_says(self) -> None:
        assert self.put_unique("a", seconds=0.001) == "a"
        self.wait_for_the_key()
        assert self.put_unique("b") == "b"
        assert ids(self.get()) == ["a", "b"]

    def wait_for_the_key(self) -> None:
        """Return when a key of a millisecond is over."""
        until(lambda: self.engine.uniques.holder("key") is None, "a key to end")

    def test_c30_until_the_start_is_until_a_worker_takes_it(self) -> None:
        assert self.put_unique("a", until_start=True) == "a"
        assert self.put_unique("b", until_start=True) == "a"
        first = self.get_one()
        assert self.put_unique("c", until_start=True) == "c"
        self.engine.settle([Settled(first.seq, "requeue")])
        assert self.put_unique("d", until_start=True) == "c", "what came back does not take it again"
        assert sorted(str(one) for one in ids(self.get())) == ["a", "c"]

    def test_c6_a_unique_dispatch_may_be_repeated_under_its_id(self) -> None:
        message = self.message("a", once=True)
        assert self.engine.uniques.enqueue([message]) == ["a"]
        assert self.engine.uniques.enqueue([message]) == ["a"]
        assert ids(self.get()) == ["a"]

    def test_c30_fifty_threads_and_four_processes_race_for_one_key(self) -> None:
        barrier, found = threading.Barrier(_THREADS), list[str]()

        def race(number: int) -> None:
            barrier.wait()
            found.append(self.put_unique(f"t{number}"))

        peers = [self.peer() for _ in range(_PEERS)]
        batches = [[self.message(f"p{one}-{number}") for number in range(50)] for one in range(_PEERS)]
        for peer, batch in zip(peers, batches, strict=True):
            peer.ask("unique", batch)
        threads = [threading.Thread(target=race, args=(number,)) for number in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for peer in peers:
            found += peer.answer()
        assert len(Counter(found)) == 1, "all were told the same job"
        assert ids(self.get(500)) == [found[0]]
