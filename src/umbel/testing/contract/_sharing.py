"""Many threads and many processes on one store: nothing is taken twice, nothing is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from umbel.engine.store import Outgoing, Settled
from umbel.testing.contract._suite import QUEUE, Suite, end, ids, payload, until

__all__ = ("Sharing",)


def at_once(*tasks: Callable[[], None]) -> None:
    """Run ``tasks`` in a thread each, and raise the first error."""
    errors: list[BaseException] = []
    ready = threading.Barrier(len(tasks))

    def run(task: Callable[[], None]) -> None:
        try:
            ready.wait(10)
            task()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


class Sharing(Suite):
    """C14, C15 under contention."""

    def test_c15_threads_take_each_message_once(self) -> None:
        names = [f"t{number}" for number in range(400)]
        seen: list[str | None] = []

        def produce(part: int) -> None:
            for name in names[part::2]:
                self.put(name)

        def consume() -> None:
            while len(seen) < len(names):
                batch = self.get(7)
                self.engine.settle([Settled(delivery.seq, "ack", records=[end(delivery)]) for delivery in batch])
                seen.extend(ids(batch))

        assert self.get() == []
        at_once(lambda: produce(0), lambda: produce(1), consume, consume, consume)
        assert Counter(seen) == Counter(names)
        assert {stored.state for stored in self.engine.read(names)} == {"SUCCESS"}

    def test_c6_one_id_raced_by_threads_is_queued_once(self) -> None:
        def dispatch() -> None:
            self.put("a", once=True)

        assert self.get() == []
        at_once(*[dispatch] * 8)
        assert ids(self.get()) == ["a"]

    def test_c15_processes_take_each_message_once(self) -> None:
        names = [f"t{number}" for number in range(600)]
        writers, readers = [self.peer("nothing") for _ in range(2)], [self.peer() for _ in range(2)]
        self.put("first")
        for number, writer in enumerate(writers):
            for start in range(0, 300, 50):
                part = names[number * 300 + start : number * 300 + start + 50]
                writer.ask("enqueue", [Outgoing(QUEUE, payload(name), name) for name in part])
        for reader in readers:
            reader.ask("drain", QUEUE, 5)
        seen: Counter[str | None] = Counter()
        for writer in writers:
            assert [writer.answer() for _ in range(6)] == [50] * 6
        for reader in readers:
            seen.update(reader.answer())
        for reader in readers:
            seen.update(reader.call("drain", QUEUE, 5))
        assert seen == Counter(["first", *names])

    def test_c14_nothing_is_lost_when_readers_are_killed(self) -> None:
        """Readers die in the middle of it; what they held comes back, and every message is settled by somebody."""
        names = [f"t{number}" for number in range(2000)]
        self.put(*names)
        for _ in range(3):
            victim = self.peer()
            left = self.ready()
            victim.ask("drain", QUEUE, 3)
            until(lambda count=left: self.ready() < count or not count, "the reader has taken something")  # type: ignore[misc]
            victim.kill()
        self.engine.reap()
        reader = self.peer()
        reader.call("drain", QUEUE, 20)
        assert [(status.ready, status.leased, status.suspect) for status in self.engine.queues()] == [(0, 0, 0)]
        assert self.engine.dead() == []

    def ready(self) -> int:
        """Return how many messages wait."""
        return sum(status.ready for status in self.engine.queues())
