"""What a claimed message of RabbitMQ's is to the worker that runs it."""

from __future__ import annotations

from typing import Final

from umbel.engine.rabbit_wire import Raw
from umbel.engine.state import Claim, Claimed
from umbel.engine.store import Delivery

__all__ = ("delivery_of",)

#: When a message was queued of which no dispatch of ours knows: it overwrites no end.
_NEVER: Final = 1e-6


def delivery_of(raw: Raw, claim: Claim, answer: Claimed) -> Delivery:
    """Return the delivery of ``raw``, which this process has claimed."""
    return Delivery(
        seq=claim.seq,
        queue=raw.queue,
        payload=raw.payload,
        deliveries=max(answer.deliveries, raw.count, int(raw.repeated)) + 1,
        suspect=claim.alone,
        enqueued=answer.enqueued or _NEVER,
        rank=9 - raw.priority,
        task_id=raw.task_id,
        verdict=answer.condemned,
        cancelled=answer.cancelled,
    )
