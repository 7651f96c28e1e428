"""C14, C22: an idle process beside a plain model of it, in any order of what may happen to it meanwhile."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from tests.integration.on_redis.server import Server
from umbel.engine.redis import RedisEngine
from umbel.engine.store import Delivery, Outgoing, Settled
from umbel.errors import StoreUnreachable
from umbel.testing.contract._suite import payload, until

QUEUE, OTHER = "default", "other"
QUEUES = {QUEUE: 0, OTHER: 0}
T = TypeVar("T")


def insist(ask: Callable[[], T]) -> T:
    """Ask again when a connection was lost, as a worker's threads do."""
    for _ in range(3):
        with contextlib.suppress(StoreUnreachable):
            return ask()
    return ask()


class Machine(RuleBasedStateMachine):
    """What waits, what is held, and what has ended, by name."""

    server: ClassVar[Server]
    pool: ClassVar[ThreadPoolExecutor]

    def __init__(self) -> None:
        super().__init__()
        self.server.do("FLUSHALL")
        self.engine = RedisEngine(self.server.url)
        self.engine.open_lease("here@test", list(QUEUES), 4)
        self.waits: set[str] = set()
        self.held: dict[str, Delivery] = {}
        self.ended: Counter[str] = Counter()
        self.cancelled: set[str] = set()
        self.moved = False
        self.sent = 0
        self.names: list[str] = []

    def send(self, count: int, queue: str, priority: int, plain: bool) -> None:
        # Of a plain client's message the server knows no id: Celery's way asks whether that was cancelled.
        mark = "-plain" if plain else ""
        names = [f"{self.sent + number}{mark}" for number in range(count)]
        self.names += names
        self.sent += count
        self.waits |= set(names)
        if plain:
            self.server.do("LPUSH", queue, *map(payload, names))
        else:
            self.engine.enqueue([Outgoing(queue, payload(name), name, priority) for name in names])

    sending: ClassVar[dict[str, Any]] = {
        "count": st.integers(1, 3),
        "queue": st.sampled_from((QUEUE, QUEUE, OTHER)),
        "priority": st.sampled_from((0, 0, 9)),
        "plain": st.booleans(),
    }

    @rule(**sending)
    def put(self, count: int, queue: str, priority: int, plain: bool) -> None:
        self.send(count, queue, priority, plain)

    @rule(**sending)
    def put_while_it_waits(self, count: int, queue: str, priority: int, plain: bool) -> None:
        waiting = self.pool.submit(insist, lambda: self.engine.wait(0.3))
        until(lambda: int(self.server.do("INFO", "clients")["blocked_clients"]) or waiting.done(), "it waits")
        self.send(count, queue, priority, plain)
        waiting.result(60)
        self.moved = True

    @rule()
    def wait(self) -> None:
        insist(lambda: self.engine.wait(0.06))
        self.moved = True

    @rule()
    def rest(self) -> None:
        insist(lambda: self.engine.wait(0.0, full=True))
        self.moved = False

    @rule(limit=st.integers(1, 3))
    def fetch(self, limit: int) -> None:
        found = insist(lambda: self.engine.fetch(QUEUES, limit))
        for one in found:
            name = str(one.task_id)
            assert name in self.waits, f"{name} does not wait"
            # What was said after it was moved is said of a job that has begun.
            assert one.cancelled or name not in self.cancelled or self.moved
            self.waits.remove(name)
            self.held[name] = one
        self.moved = False

    @precondition(lambda self: self.held)
    @rule(again=st.booleans(), data=st.data())
    def settle(self, again: bool, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.held)))
        one = self.held.pop(name)
        entry = Settled(one.seq, "requeue" if again else "ack")
        assert insist(lambda: self.engine.settle([entry])).refused == (), "it was this process's own"
        if again:
            self.waits.add(name)
        else:
            self.ended[name] += 1

    @precondition(lambda self: self.waits)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.waits)))
        insist(lambda: self.engine.cancel(name, None))
        if not name.endswith("plain"):
            self.cancelled.add(name)

    @rule(queue=st.sampled_from((QUEUE, OTHER)), stop=st.booleans())
    def pause(self, queue: str, stop: bool) -> None:
        insist(lambda: self.engine.pause(queue) if stop else self.engine.resume(queue))

    @rule(forgets=st.booleans())
    def cut(self, forgets: bool) -> None:
        if forgets:
            self.server.do("SCRIPT", "FLUSH")
        self.server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    @invariant()
    def nothing_is_lost(self) -> None:
        statuses = insist(self.engine.queues)
        counted = sum(one.ready + one.leased for one in statuses)
        assert counted == len(self.waits) + len(self.held), (
            statuses,
            self.waits,
            self.held,
            self.server.do("KEYS", "*"),
        )

    def teardown(self) -> None:
        try:
            self.come_to_an_end()
        finally:
            self.engine.close()

    def come_to_an_end(self) -> None:
        for queue in QUEUES:
            insist(lambda queue=queue: self.engine.resume(queue))  # type: ignore[misc]
        for _ in range(2 * len(self.waits) + 3):
            self.fetch(3)
        assert not self.waits, "they wait for ever"
        for one in self.held.values():
            assert insist(lambda one=one: self.engine.settle([Settled(one.seq, "ack")])).refused == ()  # type: ignore[misc]
            self.ended[str(one.task_id)] += 1
        assert self.ended == Counter(self.names), "each ends once"


def test_c14_an_idle_process_neither_loses_nor_repeats(tmp_path: Path) -> None:
    with Server(tmp_path / "redis") as server, ThreadPoolExecutor() as pool:
        Machine.server, Machine.pool = server, pool
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=15,
                stateful_step_count=20,
                deadline=None,
                # What depends on moments is not shrunk: the first example that fails says as much.
                phases=[Phase.generate],
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
