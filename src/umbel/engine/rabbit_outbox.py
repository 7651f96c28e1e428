"""What jobs' ends publish: written with the end at the state store, then published, then struck off.

A process that dies between the steps leaves it there, and another one publishes it: with the same key, so that what
was published twice runs once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence, Set
from typing import Any, Final

from umbel.engine import envelope
from umbel.engine.rabbit_lanes import RabbitLanes
from umbel.engine.rabbit_post import Parcel
from umbel.engine.rabbit_wire import Raw, keyed
from umbel.engine.state import Posted, State
from umbel.engine.store import Outgoing, Settled
from umbel.errors import StoreError

__all__ = ("Outbox", "parcel_again", "parcel_of", "with_key")

logger = logging.getLogger(__name__)

#: What a process without a lease has written is left to it for so long, and what a live worker has.
_CLIENT_SECONDS: Final = 10.0
_WORKER_SECONDS: Final = 60.0


class Outbox:
    """Publishes what stands in the outbox of a state store."""

    def __init__(self, state: State, lanes: RabbitLanes) -> None:
        self._state = state
        self._lanes = lanes
        #: What this process could not send yet.
        self._unsent: list[Posted] = []

    def publish(self, posted: Sequence[Posted]) -> None:
        """Publish these, and strike them off; what cannot be sent now is sent later."""
        waiting = [*self._unsent, *posted]
        if not waiting:
            return
        try:
            self._lanes.send([parcel_of(one.message, keyed(one.message)[1]) for one in waiting])
            self._state.posted([one.number for one in waiting])
        except StoreError as error:
            logger.error("%d messages that jobs' ends publish wait for the broker: %s", len(waiting), error)
            self._unsent = waiting
        else:
            self._unsent = []

    def sweep(self) -> None:
        """Publish what is left: of this process, and of those that are dead."""
        self.publish(())
        own = {one.number for one in self._unsent}
        posted = [one for one in self._state.outbox() if one.number not in own]
        if posted:
            alive = {info.token for info in self._state.leases.all()}
            now = time.time()
            self.publish([one for one in posted if _is_stranded(one, alive, now)])


def _is_stranded(one: Posted, alive: Set[str], now: float) -> bool:
    age = now - one.at
    if one.token in alive:
        return age > _WORKER_SECONDS
    return age > _CLIENT_SECONDS or not one.token.startswith("-")


def parcel_of(message: Outgoing, raw: dict[str, Any]) -> Parcel:
    """Return a message of ours as it goes to the broker."""
    info = raw["properties"].get("delivery_info") or {}
    return Parcel(message.queue, raw, message.due, info.get("exchange") or "", info.get("routing_key") or "")


def parcel_again(raw: Raw, queue: str, due: float | None) -> Parcel:
    """Return a delivered message as it goes to the broker once more, under the same key."""
    message = envelope.decode(raw.payload)
    message["properties"]["message_id"] = raw.key
    return Parcel(queue, message, due)


def with_key(entry: Settled) -> Settled:
    """Let what an end publishes have its keys, by which it is known however often it is published."""
    if entry.outgoing:
        entry.outgoing = [keyed(one)[0].message for one in entry.outgoing]
    return entry
