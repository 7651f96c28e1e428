"""Making a dead letter of a message that failed for good, and a message of a letter that is replayed.

Only here is it known what a letter holds; what happens to it is the store's: :mod:`umbel.engine.letters`.
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from umbel.engine import envelope
from umbel.engine.failures import FAILURES, exception_name, failure_of, failures_in, fingerprint, hidden, together
from umbel.engine.headers import COUNTED, REPLAY
from umbel.engine.letters import DeadLetter, Replay
from umbel.engine.store import Outgoing
from umbel.errors import NotReplayable

if TYPE_CHECKING:
    from umbel.engine.store import Delivery

__all__ = ("REPLAY", "letter_of", "replay_of", "replayed_key")


_REASON_MOST: Final = 500
_KEY_MOST: Final = 200
_MANY: Final = 1_000_000_000


def letter_of(
    delivery: Delivery,
    reason: str | None = None,
    *,
    error: BaseException | None = None,
    traceback: str = "",
    release: str | None = None,
    carried: str | None = None,
    discreet: bool = False,
) -> DeadLetter:
    """Return the dead letter of a message that failed for good, of ``error``, or for ``reason`` without having run.

    ``carried``: the attempts before, where the message itself is encrypted. ``discreet``: the letter names the types
    of errors and nothing that they say.
    """
    raw, payload = _opened(delivery.payload)
    headers = raw["headers"]
    replays, key = _replay_in(headers)
    task, task_id = _text_in(headers, "task"), _text_in(headers, "id")
    if delivery.task_id is not None:
        task_id = _clean(delivery.task_id)
    last = None
    if error is not None:
        retries = headers.get("retries")
        attempt = retries if isinstance(retries, int) and 0 <= retries < _MANY else 0
        last = failure_of(error, traceback, attempt=attempt, release=release)
    earlier = failures_in(carried or headers.get(FAILURES))
    if discreet:
        earlier = [hidden(one) for one in earlier]
        last = None if last is None else hidden(last)
    exception = None if error is None else exception_name(error)
    return DeadLetter(
        id=0,
        task_id=task_id,
        task=task,
        queue=delivery.queue,
        reason=_clean(reason or _reason(exception, last.message if last is not None else ""))[:_REASON_MOST],
        deliveries=delivery.deliveries,
        died=0.0,
        payload=payload,
        key=key or _key(task_id),
        owner=_text_in(headers, "umbel_owner"),
        release=release,
        exception=exception,
        fingerprint=None if exception is None else fingerprint(exception, traceback, task),
        failures=together(earlier, last),
        replays=replays,
    )


def replayed_key(headers: dict[str, Any]) -> str:
    """Return the key of the letter whose replay this is; no text if it is none."""
    return _replay_in(headers)[1]


def replay_of(letter: DeadLetter, tag: Any, *, again: bool = False) -> Replay:
    """Return the replay of ``letter``: its message with all attempts so far, as one that is due now.

    ``tag`` is its delivery tag. The retries begin anew, because what failed before is meant to be mended. Raises
    :exc:`NotReplayable`.
    """
    try:
        raw = envelope.decode(letter.payload)
    except ValueError as error:
        raise NotReplayable(letter.key, str(error)) from error
    headers, properties = raw["headers"], raw["properties"]
    headers[FAILURES], headers[REPLAY] = letter.failures, f"{letter.replays + 1} {letter.key}"
    headers.update(retries=0, eta=None)
    for name in COUNTED:
        headers.pop(name, None)
    expires = envelope.moment(headers.get("expires"))
    if expires is not None and expires <= time.time():
        headers["expires"] = None
    # It is another message than the one that died, and goes where that one came from, whichever exchange led there.
    properties["delivery_tag"] = tag
    properties["delivery_info"] = {"exchange": "", "routing_key": letter.queue}
    properties.pop("message_id", None)
    message = Outgoing(letter.queue, envelope.encode(raw), letter.task_id, _priority(properties.get("priority")))
    return Replay(letter, message, again)


def _opened(payload: str) -> tuple[dict[str, Any], str]:
    """Return a message, and its text without the attempts that it carries; what is damaged stays as it is."""
    try:
        raw = envelope.decode(payload)
    except ValueError:
        return {"headers": {}}, payload
    if FAILURES in raw["headers"] or REPLAY in raw["headers"]:
        headers = {name: value for name, value in raw["headers"].items() if name not in (FAILURES, REPLAY)}
        payload = envelope.encode({**raw, "headers": headers})
    return raw, payload


def _replay_in(headers: dict[str, Any]) -> tuple[int, str]:
    count, _, key = str(headers.get(REPLAY) or "").partition(" ")
    return (int(count), key) if key and count.isdigit() and len(count) < 10 else (0, "")


def _key(task_id: str | None) -> str:
    """Return a key: the job's id, where it is one that every store takes."""
    known = task_id or ""
    return known if known.isprintable() and 0 < len(known) <= _KEY_MOST else f"letter-{secrets.token_hex(8)}"


def _reason(exception: str | None, message: str) -> str:
    return f"{exception}: {message}" if message else str(exception)


def _text_in(headers: dict[str, Any], name: str) -> str | None:
    value = headers.get(name)
    return _clean(value)[:1000] if isinstance(value, str) else None


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


def _priority(value: Any) -> int:
    return max(0, min(9, value)) if isinstance(value, int) else 0
