"""What a worker is given: a message as Celery's strategies take it, and the transport that it comes by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kombu.transport import virtual

from umbel.engine import envelope
from umbel.engine.protection import Protection
from umbel.engine.store import Delivery
from umbel.errors import PayloadRefused

if TYPE_CHECKING:
    from umbel.engine.fetcher import Fetcher
    from umbel.engine.protection import Secured
    from umbel.engine.store import Engine

__all__ = ("Fed", "Message", "tagged")


class Fed:
    """A transport whose jobs an engine fetches, in a worker, and hands to Celery's event loop."""

    engine: Engine
    fetcher: Fetcher | None = None
    #: How what is published is protected, and what comes is opened.
    protection: Protection = Protection()


class Message(virtual.Message):
    """A delivered message; ``delivery`` is what the engine knows of it."""

    def __init__(self, payload: dict[str, Any], channel: Any = None, **kwargs: Any) -> None:
        self.delivery: Delivery | None = payload.pop("umbel", None)
        #: How it was protected in the store.
        self.secured: Secured = payload.pop("umbel_secured", "")
        refused = payload.pop("umbel_refused", None)
        if refused is not None:
            # Whoever consumes it hears of that before anything of it is looked at.
            self.errors = [(type(refused), refused, None)]
        super().__init__(payload, channel, **kwargs)

    def _decode(self) -> Any:
        if self.content_type != "application/json" or "application/json" not in (self.accept or ()):
            return super()._decode()
        return envelope.decode_body(self.body)


def tagged(delivery: Delivery, protection: Protection) -> dict[str, Any]:
    """Return the envelope of ``delivery``, opened and tagged. Raises :exc:`ValueError` if it is damaged.

    One that is protected and does not verify has the reason in ``umbel_refused``.
    """
    raw = envelope.decode(delivery.payload)
    try:
        secured = protection.open(raw)
        if secured:
            raw["umbel_secured"] = secured
    except PayloadRefused as refused:
        # Of its body, which may be anything, nothing is looked at any more.
        raw.update(umbel_refused=refused, body="")
        raw["properties"]["body_encoding"] = "utf-8"
    raw["properties"]["delivery_tag"] = delivery.seq
    info = raw["properties"].setdefault("delivery_info", {})
    info["redelivered"] = delivery.deliveries > 1
    raw["umbel"] = delivery
    return raw
