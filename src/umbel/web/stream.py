"""Server-sent events of one job: what it is now, each change, and an end.

Events are ``state``, ``progress`` and, last, ``finished`` (``gone`` when the store forgot the job meanwhile); the data
of each is the whole status. An ``id`` says what the client has seen, so a client that comes back with
``Last-Event-ID``, to any process, gets the latest state at once if it missed one, and its progress bar never goes back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from umbel.web.problems import encode
from umbel.web.sight import Sight
from umbel.web.watcher import Watcher

__all__ = ("EVENT_STREAM_HEADERS", "HEARTBEAT", "LIFETIME", "Client", "events")

#: ``X-Accel-Buffering`` keeps nginx from holding events back.
EVENT_STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
#: Seconds of silence after which a comment shows proxies and clients that the stream lives.
HEARTBEAT = 15.0
#: Seconds after which a client must come back, so that its right to listen is checked again.
LIFETIME = 900.0
_OPENING: Final = b"retry: 1000\n\n"
_HEARTBEAT: Final = b": still here\n\n"
_PARTS: Final = 1_000_000
_EVENT_ID: Final = re.compile(r"([0-9]{1,7})-([0-9a-f]{12})")


class Client:
    """What one client has seen of a job; nothing older, and no shorter bar, is sent to it."""

    def __init__(self, last_event_id: str | None = None) -> None:
        """Start from a ``Last-Event-ID`` header; one that is missing or not ours means nothing was seen."""
        found = _EVENT_ID.fullmatch(last_event_id) if last_event_id else None
        self._fraction = min(1.0, int(found[1]) / _PARTS) if found else 0.0
        self._fingerprint = found[2] if found else ""
        self._state: str | None = None

    def has_seen(self, sight: Sight) -> bool:
        """Tell whether ``sight`` would show the client nothing new."""
        return self._fingerprint == sight.fingerprint

    def show(self, sight: Sight) -> bytes:
        """Return the event that shows ``sight``."""
        raised = sight.at_least(self._fraction)
        name = "finished" if sight.finished else "progress" if self._state == sight.state else "state"
        self._fraction = max(self._fraction, raised.fraction)
        self._fingerprint = sight.fingerprint
        self._state = sight.state
        return self._event(name, raised.body)

    def say_gone(self, job_id: str) -> bytes:
        """Return the event that tells that the store no longer knows the job."""
        return self._event("gone", {"id": job_id})

    def _event(self, name: str, data: Any) -> bytes:
        event_id = f"{int(self._fraction * _PARTS)}-{self._fingerprint}"
        return f"event: {name}\nid: {event_id}\ndata: {encode(data)}\n\n".encode()


async def events(watcher: Watcher, first: Sight, client: Client) -> AsyncIterator[bytes]:
    """Yield the stream of the job that looks like ``first`` now."""
    yield _OPENING
    if not client.has_seen(first):
        yield client.show(first)
    if first.finished or watcher.full:
        return
    async with aclosing(_changes(watcher, first.job_id, client)) as changes:
        async for chunk in changes:
            yield chunk


async def _changes(watcher: Watcher, job_id: str, client: Client) -> AsyncGenerator[bytes, None]:
    loop = asyncio.get_running_loop()
    ends = loop.time() + LIFETIME
    with watcher.listen(job_id) as listener:
        while loop.time() < ends:
            sight = await listener.next(HEARTBEAT)
            if sight is None and not listener.closed:
                yield _HEARTBEAT
            if sight is not None and not client.has_seen(sight):
                yield client.show(sight)
            if listener.forgotten:
                yield client.say_gone(job_id)
            if listener.closed or (sight is not None and sight.finished):
                return
