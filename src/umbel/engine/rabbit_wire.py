"""Messages as RabbitMQ carries them, and as the rest of Umbel knows them: Kombu's envelope.

On the wire a message is what plain Celery sends: protocol 2, in AMQP's own properties and headers. Umbel adds a
``message_id``, which names the message wherever it goes. What a plain client sends has none, and is named by its task
id and its number of retries.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import amqp
from msgspec import structs

from umbel.engine import envelope
from umbel.engine.protection import Protection
from umbel.engine.state import Keyed
from umbel.engine.store import Outgoing

__all__ = ("Raw", "from_amqp", "keyed", "outgoing", "to_amqp")

#: Not the time after which the broker itself would drop it: a worker is to say that it has expired.
_KEPT: Final = ("correlation_id", "reply_to", "message_id", "type", "app_id")
#: The exchanges of Celery's native delayed delivery.
DELAYED: Final = "celery_delayed_"
#: Where a suspect's queue is, seen from its own queue.
SUSPECTS: Final = ".suspects"


@dataclass(slots=True, eq=False)
class Raw:
    """A message as the broker delivered it. ``generation`` is that of its connection, with which its tag ends."""

    queue: str
    tag: int
    generation: int
    payload: str
    key: str
    task_id: str | None
    priority: int
    due: float | None
    repeated: bool
    count: int
    #: Whether its key is one that no other message has.
    unique: bool
    #: When it is looked at again, and since when it is here, on the monotonic clock.
    again: float = 0.0
    since: float = 0.0


def keyed(message: Outgoing) -> tuple[Keyed, dict[str, Any]]:
    """Return ``message`` with a key of its own, and its envelope."""
    raw = envelope.decode(message.payload)
    headers, properties = raw["headers"], raw["properties"]
    key = properties.get("message_id")
    if not key:
        key = _once(message.task_id) if message.once else secrets.token_hex(12)
        properties["message_id"] = key
        message = structs.replace(message, payload=envelope.encode(raw))
    known = Keyed(
        str(key),
        message,
        _text(headers.get("task")),
        _text(headers.get("umbel_owner")),
        headers.get("retries") if isinstance(headers.get("retries"), int) else 0,
        _text(headers.get("expires")),
    )
    return known, raw


def _once(task_id: str | None) -> str:
    """Return the key of a dispatch that may be repeated under its id: the same for all."""
    return hashlib.sha256(f"once:{task_id}".encode()).hexdigest()[:24]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def to_amqp(raw: dict[str, Any]) -> Any:
    """Return an envelope as AMQP carries it."""
    properties = raw["properties"]
    body = raw.get("body") or ""
    data = base64.b64decode(body) if properties.get("body_encoding") == "base64" else body.encode()
    kept = {name: str(properties[name]) for name in _KEPT if properties.get(name) is not None}
    return amqp.Message(
        data,
        content_type=raw.get("content-type"),
        content_encoding=raw.get("content-encoding"),
        application_headers=raw["headers"],
        delivery_mode=properties.get("delivery_mode") or 2,
        priority=int(properties.get("priority") or 0),
        **kept,
    )


def _envelope(message: Any, exchange: str, routing_key: str) -> dict[str, Any]:
    known = message.properties
    body, encoding = _body(message.body, known)
    properties: dict[str, Any] = {name: known[name] for name in _KEPT if known.get(name) is not None}
    properties.update(
        delivery_mode=known.get("delivery_mode") or 2,
        priority=known.get("priority") or 0,
        delivery_info={"exchange": exchange, "routing_key": routing_key},
        body_encoding=encoding,
        delivery_tag=0,
    )
    return {
        "body": body,
        "content-encoding": known.get("content_encoding"),
        "content-type": known.get("content_type"),
        "headers": {name: _plain(value) for name, value in (known.get("application_headers") or {}).items()},
        "properties": properties,
    }


def _body(body: Any, known: dict[str, Any]) -> tuple[str, str]:
    if isinstance(body, str):
        return body, "utf-8"
    if known.get("content_encoding") in ("utf-8", "us-ascii"):
        try:
            return body.decode("utf-8"), "utf-8"
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), "base64"


def _plain(value: Any) -> Any:
    # AMQP's times have no zone of their own; they are in UTC.
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def outgoing(message: Any, exchange: str, routing_key: str, protection: Protection) -> Outgoing:
    """Return what Kombu wants to publish as a message of ours, protected."""
    raw = protection.apply(_envelope(message, exchange, routing_key))
    return envelope.outgoing(routing_key, raw, max(0, min(9, int(raw["properties"]["priority"]))))


def from_amqp(queue: str, message: Any, generation: int) -> Raw:
    """Return what the broker has delivered from ``queue``."""
    info = message.delivery_info
    own = not info["exchange"] or info["exchange"].startswith(DELAYED)
    home = queue.removesuffix(SUSPECTS)
    raw = _envelope(message, "" if own else info["exchange"], home if own else info["routing_key"])
    told = envelope.outgoing(home, raw, max(0, min(9, int(raw["properties"]["priority"]))))
    count = int(raw["headers"].pop("x-delivery-count", 0) or 0)
    for name in ("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason"):
        raw["headers"].pop(name, None)
    key = raw["properties"].get("message_id")
    return Raw(
        queue=home,
        tag=info["delivery_tag"],
        generation=generation,
        payload=envelope.encode(raw),
        key=key if _is_key(key) else _named(raw["headers"]),
        task_id=told.task_id,
        priority=told.priority,
        due=told.due,
        repeated=bool(info["redelivered"]) or count > 0,
        count=count,
        unique=_is_key(key),
    )


def _is_key(key: Any) -> bool:
    return isinstance(key, str) and 0 < len(key) <= 64 and key.isalnum()


def _named(headers: dict[str, Any]) -> str:
    named = f"{headers.get('id')}:{headers.get('retries')}"
    return hashlib.sha256(named.encode(errors="surrogatepass")).hexdigest()[:24]
