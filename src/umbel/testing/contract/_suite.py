"""What all parts of the contract suite stand on: an engine, other processes, and short words for messages."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Final, TypeVar

from umbel.engine.burial import letter_of
from umbel.engine.registry import open_engine
from umbel.engine.store import DeadLetter, Delivery, Engine, Outgoing, Record, Settled, Stored
from umbel.testing.contract._peer import Peer

__all__ = ("QUEUE", "Suite", "end", "ids", "passing", "payload", "until")

QUEUE: Final = "default"
#: Seconds that anything may take before a test gives up; nothing waits for it when all is well.
_DEADLINE: Final = 30.0

T = TypeVar("T")


def until(condition: Callable[[], T], what: str) -> T:
    """Call ``condition`` until it returns something true, and return that."""
    end = time.monotonic() + _DEADLINE
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {_DEADLINE:g} s in vain for: {what}"
        time.sleep(0.005)


def payload(task_id: str, **headers: Any) -> str:
    """Return a message as Celery's clients put it together, as far as an engine looks into it."""
    message = {
        "body": "[[], {}, {}]",
        "content-type": "application/json",
        "headers": {"id": task_id, "task": "shop.greet", "retries": 0, **headers},
        "properties": {"body_encoding": "utf-8", "delivery_info": {}},
    }
    return json.dumps(message)


class Suite:
    """One empty store, its engine in this process, and processes beside it."""

    #: The URL of a store of its own for each test.
    url: str = ""
    crash_limit: ClassVar[int] = 3

    def open_engine(self) -> Engine:
        """Return this process's engine on ``url``."""
        return open_engine(self.url, crash_limit=self.crash_limit)

    @cached_property
    def engine(self) -> Engine:
        """This process's engine, which holds a lease."""
        engine = self.open_engine()
        engine.open_lease("here@test", [QUEUE], 10)
        return engine

    @cached_property
    def _peers(self) -> list[Peer]:
        return []

    def peer(self, *queues: str) -> Peer:
        """Start another process on the same store; it holds a lease, unless told that it has no queues."""
        peer = Peer(self.url, *(queues or (QUEUE,)), crash_limit=self.crash_limit)
        self._peers.append(peer)
        return peer

    def teardown_method(self) -> None:
        """End what the test has started."""
        for peer in self._peers:
            peer.kill()
        if "engine" in self.__dict__:
            self.engine.close()

    # -- short words ------------------------------------------------------------------------------------------

    def put(self, *task_ids: str, queue: str = QUEUE, headers: Mapping[str, Any] | None = None, **how: Any) -> int:
        """Enqueue messages of these ids in one step."""
        return self.engine.enqueue([Outgoing(queue, payload(one, **(headers or {})), one, **how) for one in task_ids])

    def get(self, limit: int = 100, *, queue: str = QUEUE, suspects: bool = False) -> list[Delivery]:
        """Fetch from one queue."""
        return self.engine.fetch({queue: 0}, limit, suspects=suspects)

    def get_one(self, *, suspects: bool = False) -> Delivery:
        """Fetch the only message that there is."""
        found = self.get(suspects=suspects)
        assert len(found) == 1, f"one message expected: {found} of {self.engine.queues()}"
        return found[0]

    def finish(self, delivery: Delivery, state: str = "SUCCESS", **fields: Any) -> Settled:
        """Settle a fetched job with its end; return the entry that was tried."""
        entry = Settled(delivery.seq, "ack", records=[end(delivery, state)], **fields)
        self.engine.settle([entry])
        return entry

    def bury(self, delivery: Delivery, reason: str = "why", *, error: BaseException | None = None) -> DeadLetter:
        """Settle a fetched job as one that failed for good; return its letter as the store has it."""
        letter = letter_of(delivery, reason, error=error)
        records = [end(delivery, "FAILURE")] if delivery.task_id is not None else []
        self.engine.settle([Settled(delivery.seq, "ack", letter, records=records)])
        return self.engine.letters.find(limit=1)[0]

    def stored(self, task_id: str) -> Stored | None:
        """Return the stored state of a job."""
        return next(iter(self.engine.read([task_id])), None)

    def state(self, task_id: str) -> str | None:
        """Return the name of the stored state of a job."""
        found = self.stored(task_id)
        return None if found is None else found.state


def ids(deliveries: Sequence[Delivery]) -> list[str | None]:
    """Return the ids of ``deliveries`` in their order."""
    return [delivery.task_id for delivery in deliveries]


def end(delivery: Delivery, state: str = "SUCCESS") -> Record:
    """Return the end of a delivered job."""
    assert delivery.task_id is not None
    return Record(delivery.task_id, state, True, json.dumps({"status": state}), since=delivery.enqueued)


def passing(task_id: str, state: str = "STARTED", *, first: bool = False) -> Record:
    """Return a state that another one follows; ``first``: and that gives way to any other one."""
    return Record(task_id, state, False, json.dumps({"status": state}), first=first)
