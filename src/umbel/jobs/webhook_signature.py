"""Signatures of Standard Webhooks (https://www.standardwebhooks.com), version ``v1``: HMAC-SHA256. Pure.

What is signed is ``id.timestamp.body``. A sender signs with each of its secrets and a receiver takes any of its own, so
that either can change them without a pause. A message whose time is not near the receiver's is refused, because
whoever has recorded it could send it again.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from umbel.durations import duration
from umbel.errors import ConfigurationError, WebhookRefused

__all__ = ("IncomingWebhook", "keys_of", "signature_of", "verify_webhook")

_PREFIX: Final = "whsec_"
_VERSION: Final = "v1,"
_KEY_LEAST: Final = 16
_KEY_MOST: Final = 128
_ID_MOST: Final = 256
#: How many signatures of a message are looked at.
_SIGNATURES_MOST: Final = 16
_NAMESPACE: Final = uuid.UUID("2e0f3a58-6c0e-5bd1-9a55-6f6a0b1c7d42")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingWebhook:
    """A webhook whose signature is right.

    ``id`` stays the same when it is sent again, ``sent`` does not. ``body`` is what was signed, to the byte.
    ``source`` tells the ids of one sender from those of another.
    """

    id: str
    sent: datetime
    body: bytes
    source: str = ""

    def json(self) -> Any:
        """Return the body as JSON. Raises :exc:`WebhookRefused` if it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise WebhookRefused("The body of the webhook is no JSON.") from None

    def job_id(self, task: Any) -> str:
        """Return the id of the one job of ``task`` that this webhook causes, however often it comes."""
        return str(uuid.uuid5(_NAMESPACE, json.dumps([self.source, task.name, self.id])))

    def dispatch(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Queue a job of ``task``, once for this webhook: while the store knows that job, a repeat queues none.

        Raises what ``apply_async`` raises.
        """
        return task.apply_async(args, kwargs, task_id=self.job_id(task), headers={"umbel_once": True})

    async def adispatch(self, task: Any, *args: Any, **kwargs: Any) -> Any:
        """Queue a job as :meth:`dispatch` does, without blocking the event loop."""
        return await task.aapply_async(args, kwargs, task_id=self.job_id(task))


def keys_of(secrets: str | Iterable[str], place: str) -> tuple[bytes, ...]:
    """Return the keys that ``secrets`` hold: one or several ``whsec_…``, in a text with commas between them.

    Raises :exc:`ConfigurationError` that begins with ``place``.
    """
    words = secrets.replace(",", " ").split() if isinstance(secrets, str) else list(secrets)
    try:
        keys = tuple(base64.b64decode(word.removeprefix(_PREFIX), validate=True) for word in words)
    except (binascii.Error, ValueError, AttributeError):
        keys = ()
    if not keys or any(not _KEY_LEAST <= len(key) <= _KEY_MOST for key in keys):
        raise ConfigurationError(
            f"{place}: write {_PREFIX} and 24 to 64 random bytes in base64; while a secret is changed, the new and the "
            "old one with a comma between them."
        )
    return keys


def signature_of(keys: Iterable[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """Return the header ``webhook-signature``: a signature by each of ``keys``; ``timestamp`` in unix seconds."""
    return " ".join(_VERSION + base64.b64encode(_mac(key, webhook_id, timestamp, body)).decode() for key in keys)


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    *,
    tolerance: object = "5m",
    source: str = "",
    now: float | None = None,
) -> IncomingWebhook:
    """Return the webhook that ``body`` and ``headers`` are, if one of ``secrets`` has signed it not long ago.

        webhook = verify_webhook(request.get_data(), request.headers, os.environ["PARTNER_SECRET"])

    ``body``: the bytes as they came, not JSON that was read and written again. ``headers``: names in any case.
    ``tolerance``: how far its time may be from ours, as a duration. ``now`` is a clock's time in unix seconds.
    Raises :exc:`WebhookRefused`, and :exc:`ConfigurationError` for a secret that is none.
    """
    keys = keys_of(secrets, "verify_webhook")
    found = {str(name).lower(): value for name, value in headers.items()}
    webhook_id, moment, given = (_text(found, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    if len(webhook_id) > _ID_MOST:
        raise WebhookRefused("The webhook-id is too long.")
    sent = _moment(moment)
    if abs((time.time() if now is None else now) - sent) > duration(tolerance).total_seconds():
        raise WebhookRefused("The webhook's time is too far from ours: it is an old one, or a clock is wrong.")
    if not _is_signed(keys, webhook_id, moment, body, given):
        raise WebhookRefused("None of our secrets has signed the webhook.")
    return IncomingWebhook(id=webhook_id, sent=datetime.fromtimestamp(sent, UTC), body=bytes(body), source=source)


def _is_signed(keys: Iterable[bytes], webhook_id: str, moment: str, body: bytes, given: str) -> bool:
    signatures = [word for word in given.split() if word.startswith(_VERSION)][:_SIGNATURES_MOST]
    expected = [signature_of([key], webhook_id, int(moment), body) for key in keys]
    right = False
    for one in expected:
        for word in signatures:
            # All of them are compared, so that the time tells nothing.
            right |= hmac.compare_digest(one.encode(), word.encode(errors="replace"))
    return right


def _mac(key: bytes, webhook_id: str, timestamp: int, body: bytes) -> bytes:
    return hmac.new(key, b"%b.%d.%b" % (webhook_id.encode(errors="replace"), timestamp, body), hashlib.sha256).digest()


def _moment(text: str) -> int:
    # What is signed is its text: another way to write the number would be another text.
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and text == str(int(text))):
        raise WebhookRefused("The webhook-timestamp is no number of seconds.")
    return int(text)


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if not isinstance(value, str) or not value:
        raise WebhookRefused(f"The header {name} is missing.")
    return value
