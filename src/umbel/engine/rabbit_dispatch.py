"""Sending messages to RabbitMQ whose jobs the state store knows already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from umbel.engine.rabbit_lanes import RabbitLanes
from umbel.engine.rabbit_outbox import parcel_of
from umbel.engine.state import Keyed, State

__all__ = ("publish",)


def publish(state: State, lanes: RabbitLanes, known: Sequence[tuple[Keyed, dict[str, Any]]]) -> None:
    """Send messages, with their envelopes; the jobs of those that could not be sent are forgotten."""
    try:
        lanes.send([parcel_of(one.message, raw) for one, raw in known])
    except BaseException:
        # A dispatch that may be repeated stays known: its first message may have got through.
        fresh = [one for one, _ in known if one.message.task_id is not None and not one.message.once]
        if fresh:
            state.unnote(fresh)
        raise
