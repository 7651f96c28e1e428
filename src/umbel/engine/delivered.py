"""What a worker is given: a message as Celery's strategies take it, and the transport that it comes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.transport import virtual

from umbel.engine import envelope
from umbel.engine.store import Delivery

if TYPE_CHECKING:
    from umbel.engine.fetcher import Fetcher
    from umbel.engine.store import Engine

__all__ = ("Fed", "Message", "tagged")


class Fed:
    """A transport whose jobs an engine fetches, in a worker, and hands to Celery's event loop."""

    engine: Engine
    fetcher: Fetcher | None = None


class Message(virtual.Message):
    """A delivered message; ``delivery`` is what the engine knows of it."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        self.delivery: Delivery | None = payload.pop("umbel", None)
        super().__init__(payload, channel, **kwargs)

    def _decode(self) -> Any:
        if self.content_type != "application/json" or "application/json" not in (self.accept or ()):
            return super()._decode()
        return envelope.decode_body(self.body)


def tagged(delivery: Delivery) -> dict[str, Any]:
    """Return the envelope of ``delivery``, tagged with it. Raises :exc:`ValueError` if it is damaged."""
    raw = envelope.decode(delivery.payload)
    raw["properties"]["delivery_tag"] = delivery.seq
    info = raw["properties"].setdefault("delivery_info", {})
    info["redelivered"] = delivery.deliveries > 1
    raw["umbel"] = delivery
    return raw
