"""What whoever operates can see and do."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from umbel.engine.store import Outgoing, QueueStatus, Settled
from umbel.testing.contract._suite import QUEUE, Suite, ids, payload, until

__all__ = ("Operating",)


class Operating(Suite):
    """Counts, places, workers, purging."""

    def queue(self, name: str = QUEUE) -> QueueStatus:
        """Return the status of one queue."""
        return next(status for status in self.engine.queues() if status.name == name)

    def test_c4_a_queue_counts_what_it_has_and_who_consumes(self) -> None:
        self.put("held", "ready-1", "ready-2")
        self.put("later", due=4_000_000_000.0)
        self.get(1)
        self.put("other", queue="email")
        assert self.queue() == QueueStatus(QUEUE, ready=2, delayed=1, leased=1, suspect=0, consumers=1)
        assert self.queue("email") == QueueStatus("email", ready=1, delayed=0, leased=0, suspect=0, consumers=0)

    def test_c4_consumers_are_live_processes(self) -> None:
        self.put("a")
        one, two = self.peer(QUEUE, "email"), self.peer(QUEUE)
        assert self.queue().consumers == 3
        one.pause()
        assert self.queue().consumers == 3, "a stopped process still has its lease"
        one.proceed()
        two.kill()
        assert self.queue().consumers == 2
        one.kill()
        self.engine.close_lease()
        assert self.queue().consumers == 0

    def test_c4_a_process_that_takes_nothing_new_is_no_consumer(self) -> None:
        self.put("a", "b")
        other = self.peer()
        (held,) = other.call("fetch", {QUEUE: 0}, 1)
        other.call("retire")
        assert self.queue().consumers == 1, "only this process"
        assert other.call("settle", [Settled(held.seq, "ack")]).refused == []

    def test_a_queue_tells_how_long_its_next_job_has_been_due(self) -> None:
        """Of each priority and of each line; a delay is no wait, and what a worker holds has begun."""
        if self.engine.scheme not in ("sqlite", "redis"):
            assert self.engine.names.waits() == {}, "a broker that does not show what waits in it"
            return
        assert self.engine.names.waits() == {}
        before = time.time()
        self.put("a", priority=9)
        self.put("b", queue="mail")
        self.put("c", queue="shared", headers={"umbel_share": "ann"})
        self.put("later", queue="later", due=4_000_000_000.0)
        due = datetime.fromtimestamp(time.time() + 0.3, UTC)
        self.put("due", queue="due", due=due.timestamp(), headers={"eta": due.isoformat()})
        until(lambda: self.queue("due").ready or self.get(queue="nobody's"), "what is due")
        first = self.engine.names.waits()
        assert set(first) == {QUEUE, "mail", "shared", "due"}
        assert first["due"] <= time.time() - due.timestamp()
        until(lambda: self.engine.names.waits()["mail"] > first["mail"], "waits to grow")
        spent = time.time() - before + 0.5
        assert all(0 <= seconds <= spent for seconds in self.engine.names.waits().values())
        assert ids(self.get()) == ["a"]
        assert set(self.engine.names.waits()) == {"mail", "shared", "due"}

    def test_workers_tell_who_they_are(self) -> None:
        self.put("a", "b", "c")
        before = time.time()
        other = self.peer(QUEUE, "email")
        other.call("fetch", {QUEUE: 0}, 2)
        found = {worker.pid: worker for worker in self.engine.workers()}
        assert set(found) == {os.getpid(), other.pid}
        worker = found[other.pid]
        assert (worker.hostname, worker.queues, worker.concurrency) == (
            f"peer-{other.pid}@test",
            (QUEUE, "email"),
            4,
        )
        assert worker.in_flight == 2
        assert before - 60 <= worker.started <= time.time()
        other.kill()
        assert [worker.pid for worker in self.engine.workers()] == [os.getpid()]

    def test_locate_tells_where_a_job_is(self) -> None:
        self.put("a", "b", priority=3)
        headers = {"umbel_owner": "user-7", "expires": "2030-01-01T00:00:00+00:00", "retries": 2}
        self.put("c", headers=headers, priority=6)
        where = self.engine.locate("c")
        assert where is not None
        assert (where.task_id, where.queue, where.task, where.owner) == ("c", QUEUE, "shop.greet", "user-7")
        assert (where.priority, where.retries, where.position) == (6, 2, 0)
        assert where.expires == 1_893_456_000.0
        assert (where.lease, where.due, where.deliveries, where.cancelled) == (None, None, 0, False)
        assert self.engine.locate("unknown") is None

    def test_c9_the_position_is_how_many_go_before(self) -> None:
        self.put("low-1", "low-2", priority=1)
        self.put("high-1", "high-2", priority=8)
        self.put("elsewhere", queue="email", priority=9)
        order = ["high-1", "high-2", "low-1", "low-2"]

        def positions() -> list[int | None]:
            found = [self.engine.locate(task_id) for task_id in order]
            return [where.position if where is not None else None for where in found]

        assert positions() == [0, 1, 2, 3]
        assert ids(self.get(1)) == ["high-1"]
        assert positions() == [None, 0, 1, 2]

    def test_a_held_job_is_located_with_its_holder(self) -> None:
        self.put("a")
        self.get()
        where = self.engine.locate("a")
        assert where is not None
        assert where.position is None
        assert where.lease == self.engine.workers()[0].lease
        assert where.deliveries == 1

    def test_a_delayed_job_is_located_with_its_time(self) -> None:
        self.put("a", due=4_000_000_000.0)
        where = self.engine.locate("a")
        assert where is not None
        assert (where.due, where.position) == (4_000_000_000.0, None)

    def test_a_settled_job_has_no_message(self) -> None:
        self.put("a")
        self.finish(self.get_one())
        assert self.engine.locate("a") is None

    def test_purge_drops_what_waits_delayed_included_and_not_what_runs(self) -> None:
        self.put("running", "waiting-1", "waiting-2")
        self.put("later", due=4_000_000_000.0)
        self.put("elsewhere", queue="email")
        running = self.get(1)[0]
        assert self.engine.purge(QUEUE) == 3
        assert self.engine.purge(QUEUE) == 0
        assert self.engine.purge("unheard of") == 0
        assert self.queue().leased == 1
        self.finish(running)
        assert self.state("running") == "SUCCESS"
        assert ids(self.get(queue="email")) == ["elsewhere"]

    def test_purge_up_to_a_mark_leaves_what_came_later(self) -> None:
        self.put("a", "b")
        self.put("later-a", due=4_000_000_000.0)
        mark = self.queue().mark
        if mark is None:
            # A broker that keeps the messages itself, and tells no time of theirs.
            return
        self.put("c")
        self.put("urgent", priority=9)
        self.put("later-c", due=4_000_000_000.0)
        assert self.engine.purge(QUEUE, upto=mark) == 3
        assert (self.queue().ready, self.queue().delayed) == (2, 1)
        assert self.engine.locate("later-a") is None
        assert self.engine.locate("later-c") is not None
        assert ids(self.get()) == ["urgent", "c"]
        assert self.engine.purge(QUEUE, upto=self.queue().mark) == 1

    def test_a_paused_queue_is_fetched_from_by_nobody(self) -> None:
        self.put("a", "b", queue="email")
        self.put("c")
        other = self.peer(QUEUE, "email")
        other.call("pause", "email")
        assert self.queue("email") == QueueStatus(
            "email", ready=2, delayed=0, leased=0, suspect=0, consumers=1, paused=True
        )
        queues = {"email": 0, QUEUE: 0}
        assert ids(self.engine.fetch(queues, 10)) == ["c"]
        assert other.call("fetch", queues, 10) == []
        assert self.engine.fetch({"email": 3, QUEUE: 1}, 10) == []
        assert self.engine.most_urgent(queues) is None
        self.engine.resume("email")
        assert not self.queue("email").paused
        assert [one.task_id for one in other.call("fetch", queues, 10)] == ["a", "b"]

    def test_a_pause_outlives_the_process_and_holds_back_suspects_and_what_comes_due(self) -> None:
        other = self.peer()
        self.put("suspect")
        (held,) = other.call("fetch", {QUEUE: 0}, 1)
        other.call("started", held.seq)
        other.kill()
        self.engine.reap()
        self.put("later", due=time.time() - 1)
        self.engine.pause(QUEUE)
        self.engine.close()
        self.engine.open_lease("here@test", [QUEUE], 10)
        assert self.get() == []
        assert self.engine.fetch({QUEUE: 0}, 10, suspects=True) == []
        assert self.engine.suspects() == 0
        self.engine.resume(QUEUE)
        assert self.engine.suspects() == 1
        assert ids(self.engine.fetch({QUEUE: 0}, 10, suspects=True)) == ["suspect"]
        assert ids(self.get()) == ["later"]

    def test_a_paused_queue_does_not_keep_a_worker_awake_and_resuming_wakes_it(self) -> None:
        self.put("a")
        other = self.peer("nothing")
        self.engine.pause(QUEUE)
        assert self.get() == []
        until(lambda: self.get() == [] and not self.engine.wait(0.05), "a worker that sleeps")
        other.call("resume", QUEUE)

        def come() -> list[str | None]:
            found = ids(self.get())
            if not found:
                self.engine.wait(0.5)
            return found

        assert until(come, "the message") == ["a"]

    def test_a_waiting_worker_finds_what_another_process_sends(self) -> None:
        """``wait`` may return early, and never sleeps through a message."""
        other = self.peer("nothing")
        assert self.get() == []
        other.call("enqueue", [Outgoing(QUEUE, payload("a"), "a")])

        def come() -> list[str | None]:
            found = ids(self.get())
            if not found:
                self.engine.wait(0.5)
            return found

        assert until(come, "the message") == ["a"]
