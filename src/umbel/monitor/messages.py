"""What a message tells of its job: read from Kombu's envelope, and never more than may be shown.

Arguments are shown as they stand in the message. Where it is encrypted, because its task has sensitive arguments or
because everything is, they stand nowhere, and nothing is shown (C43).
Costs: about 5 microseconds for a message that is as nearly all are; any other one is read by Kombu's own decoder.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from umbel.engine import envelope
from umbel.engine.batches import BATCH
from umbel.engine.headers import REPLAY, TAGS
from umbel.monitor.texts import clean, head, word

__all__ = ("ARGUMENTS_MOST", "Told", "told_by")

#: So many characters of a job's arguments are kept.
ARGUMENTS_MOST: Final = 16_384
_TAGS_MOST: Final = 20
_TAG_MOST: Final = 100
_MANY: Final = 1_000_000_000


class Told(Struct, frozen=True, gc=False):
    """What one message tells of its job; what it says nothing of is None."""

    task: str | None = None
    retries: int = 0
    #: The number of the replay that it is.
    replays: int = 0
    owner: str | None = None
    parent_id: str | None = None
    root_id: str | None = None
    group_id: str | None = None
    batch_id: str | None = None
    arguments: str | None = None
    tags: tuple[str, ...] = ()
    #: Whether it runs again without having failed: put off by itself, a lock or a limit.
    put_off: bool = False


class _Headers(Struct, gc=False):
    task: str | None = None
    id: str | None = None
    retries: int | None = 0
    owner: str | None = field(default=None, name="umbel_owner")
    parent_id: str | None = None
    root_id: str | None = None
    group: str | None = None
    batch: str | None = field(default=None, name=BATCH)
    replay: str | None = field(default=None, name=REPLAY)
    tags: list[str] | None = field(default=None, name=TAGS)
    put_off: Raw | UnsetType = field(default=UNSET, name="umbel_put_off")
    compression: str | None = None


class _Properties(Struct, gc=False):
    body_encoding: str | None = None


class _Envelope(Struct, gc=False):
    headers: _Headers
    properties: _Properties
    body: str | None = None
    content_type: str | None = field(default=None, name="content-type")


_decode: Final = msgspec.json.Decoder(_Envelope).decode
_slices: Final = msgspec.json.Decoder(tuple[Raw, Raw, Raw]).decode
_NOTHING: Final = Told()


def told_by(payload: str) -> Told:
    """Return what the envelope ``payload`` tells; nothing where it is damaged."""
    try:
        message = _decode(payload)
    except (msgspec.DecodeError, UnicodeError):
        found = _unusual(payload)
        if found is None:
            return _NOTHING
        message = found
    headers = message.headers
    own, root = headers.id, headers.root_id
    return Told(
        task=word(headers.task),
        retries=_count(headers.retries),
        replays=_replays(headers.replay),
        owner=word(headers.owner),
        parent_id=word(headers.parent_id),
        root_id=word(root) if root != own else None,
        group_id=word(headers.group),
        batch_id=word(headers.batch),
        arguments=_arguments(message),
        tags=_tags(headers.tags),
        put_off=headers.put_off is not UNSET,
    )


def _unusual(payload: str) -> _Envelope | None:
    """Read what is marked with types, or holds values of odd types where texts belong."""
    try:
        raw = envelope.decode(payload)
    except ValueError:
        return None
    headers = raw["headers"]
    tags = headers.get(TAGS)
    return _Envelope(
        headers=_Headers(
            **{
                name: _text(headers.get(name))
                for name in ("task", "id", "parent_id", "root_id", "group", "compression")
            },
            owner=_text(headers.get("umbel_owner")),
            batch=_text(headers.get(BATCH)),
            replay=_text(headers.get(REPLAY)),
            retries=headers.get("retries") if isinstance(headers.get("retries"), int) else 0,
            tags=[tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else None,
            put_off=Raw(b"1") if "umbel_put_off" in headers else UNSET,
        ),
        properties=_Properties(_text(raw["properties"].get("body_encoding"))),
        body=_text(raw.get("body")),
        content_type=_text(raw.get("content-type")),
    )


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def _count(value: int | None) -> int:
    return value if value is not None and 0 <= value < _MANY else 0


def _replays(text: str | None) -> int:
    count = (text or "").partition(" ")[0]
    return int(count) if count.isascii() and count.isdigit() and len(count) < 10 else 0


def _tags(tags: list[str] | None) -> tuple[str, ...]:
    if not tags:
        return ()
    return tuple(dict.fromkeys(clean(tag[:_TAG_MOST]) for tag in tags[:_TAGS_MOST] if tag))


def _arguments(message: _Envelope) -> str | None:
    if message.content_type != "application/json" or message.headers.compression or not message.body:
        return None
    try:
        body = b64decode(message.body) if message.properties.body_encoding == "base64" else message.body.encode()
        args, kwargs, _ = _slices(body)
        text = f"[{bytes(args).decode()},{bytes(kwargs).decode()}]"
    except msgspec.MsgspecError:
        found = _unusual_arguments(body)
        if found is None:
            return None
        text = found
    except (ValueError, UnicodeError):
        return None
    return head(text, ARGUMENTS_MOST)


def _unusual_arguments(body: bytes) -> str | None:
    """Read what is no JSON, but is taken by Python's decoder: NaN, and infinities."""
    try:
        args, kwargs, *_ = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return None
    return json.dumps([args, kwargs], separators=(",", ":"))
