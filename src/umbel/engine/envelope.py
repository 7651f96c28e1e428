"""Kombu's message envelope as text, and what the engine needs to know of it.

The format stays Kombu's JSON envelope. Plain values go through msgspec; what it cannot say (dates, UUIDs,
decimals in headers) goes through Kombu's own encoder, and is read back by it.
"""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from kombu.exceptions import DecodeError
from kombu.utils import json as kombu_json

from umbel.engine.headers import FIRST
from umbel.engine.store import Outgoing

__all__ = (
    "dated",
    "decode",
    "decode_body",
    "due_at",
    "encode",
    "headers_of",
    "is_once",
    "is_simple",
    "moment",
    "outgoing",
)

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_MARK: Final = '"__type__"'
_SCALARS: Final = frozenset({str, int, bool, type(None)})
_FEW: Final = 32


def encode(message: dict[str, Any], *, plain: bool = False) -> str:
    """Return ``message`` as JSON text. ``plain``: its headers are known to be what JSON says as it is."""
    if not plain and not all(map(_is_plain, message["headers"].values())):
        return str(kombu_json.dumps(message))
    try:
        return _encode(message).decode()
    except (TypeError, msgspec.EncodeError, UnicodeEncodeError):
        return str(kombu_json.dumps(message))


def _is_plain(value: Any) -> bool:
    """Whether JSON says it as it is; Kombu marks the type of anything else."""
    if value is None or isinstance(value, (str, int, bool)):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_plain, value.values()))
    return isinstance(value, list) and all(map(_is_plain, value))


def is_simple(value: Any) -> bool:
    """Whether every JSON encoder says ``value`` alike: a scalar, or a short list, tuple or dict of scalars."""
    kind = type(value)
    if kind is list or kind is tuple:
        return len(value) <= _FEW and all(map(_is_scalar, value))
    if kind is dict:
        return len(value) <= _FEW and all(type(key) is str for key in value) and all(map(_is_scalar, value.values()))
    return _is_scalar(value)


def _is_scalar(value: Any) -> bool:
    return type(value) in _SCALARS or (type(value) is float and math.isfinite(value))


def decode(payload: str) -> dict[str, Any]:
    """Return the envelope that ``payload`` holds. Raises :exc:`ValueError` if it is none."""
    message = _loads(payload)
    if not isinstance(message, dict) or not isinstance(message.get("properties"), dict):
        raise ValueError("The message is not a Kombu envelope.")
    if not isinstance(message.get("headers"), dict):
        message["headers"] = {}
    return message


def decode_body(body: str | bytes) -> Any:
    """Return what a JSON body holds, as Kombu's serializer reads it. Raises Kombu's ``DecodeError``."""
    try:
        return _loads(body)
    except ValueError as error:
        raise DecodeError(str(error)) from error


def _loads(text: str | bytes) -> Any:
    try:
        if (_MARK in text) if isinstance(text, str) else (_MARK.encode() in text):
            return kombu_json.loads(text)
        return _decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        pass
    try:
        # NaN and lone surrogates are not JSON, but Celery takes them.
        return kombu_json.loads(text)
    except (ValueError, RecursionError, UnicodeError) as error:
        raise ValueError(f"The message is not JSON: {error}.") from error


def outgoing(queue: str, message: dict[str, Any], priority: int) -> Outgoing:
    """Return ``message`` as the engine takes it."""
    headers = message["headers"]
    task_id = headers.get("id")
    return Outgoing(
        queue=queue,
        payload=encode(message),
        task_id=task_id if isinstance(task_id, str) else None,
        priority=priority,
        due=due_at(headers.get("eta")),
        once=is_once(headers),
    )


def is_once(headers: dict[str, Any]) -> bool:
    """Whether the message is not to be queued again under its id; a retry has its id, and must be."""
    return bool(headers.get("umbel_once")) and not headers.get("retries") and not headers.get(FIRST)


def dated(payload: str, enqueued: float) -> str:
    """Return an envelope that says when its job was first due, for one that is stored anew before it has run.

    ``enqueued``: when it was stored, as far as that is known.
    """
    if f'"{FIRST}"' in payload:
        return payload
    message = decode(payload)
    headers = message["headers"]
    headers[FIRST] = max(enqueued or time.time(), due_at(headers.get("eta")) or 0.0)
    return encode(message)


def due_at(eta: Any) -> float | None:
    """Return the header ``eta`` as unix seconds; None if it has none, or none that can be read."""
    if eta is None:
        return None
    if isinstance(eta, str):
        try:
            eta = datetime.fromisoformat(eta)
        except ValueError:
            # The worker refuses it with a message that names the job.
            return None
    if not isinstance(eta, datetime):
        return None
    return (eta if eta.tzinfo else eta.replace(tzinfo=UTC)).timestamp()


def headers_of(payload: str) -> dict[str, Any]:
    """Return the headers of an envelope; none of what is damaged."""
    try:
        return dict(decode(payload)["headers"])
    except ValueError:
        return {}


def moment(text: Any) -> float | None:
    """Return a header's ISO 8601 text as unix seconds; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
