"""What keeps open pages up to date: a stream of ticks, at most one a second, and only when something has changed.

    GET /live    server-sent events ``tick``; resumes with ``Last-Event-ID``

A tick says no more than that there is news: ``live.js`` then fetches the page it is on and puts the regions ``<section
data-live id="…">`` in the place of the old ones. So every page is live without code of its own, and shows what its own
handler shows. One reader a process looks at the store, however many pages are open, and not at all when none is. A
stream ends after 15 minutes, so that the right to listen is checked again, and when Uvicorn is told to stop.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Header
from fastapi.responses import StreamingResponse
from kombu.exceptions import OperationalError
from starlette.requests import Request
from starlette.responses import Response

from umbel.app import Umbel
from umbel.errors import UmbelError
from umbel.web.problems import SOON, Problem
from umbel.web.sight import Sight
from umbel.web.signin.people import App, Viewer
from umbel.web.stream import EVENT_STREAM_HEADERS, HEARTBEAT, LIFETIME
from umbel.web.watcher import Reading, Watcher

__all__ = ("Pulse", "router")

router: Final = APIRouter()
#: Seconds between two looks.
_INTERVAL: Final = 1.0
#: Looking takes at most a twentieth of a core, however much there is to count.
_REST: Final = 20.0
_KEY: Final = "pulse"
_ID: Final = re.compile(r"[0-9a-f]{12}")
_OPENING: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b": still here\n\n"


class Pulse:
    """What changes when there is anything new to see: of queues, workers, dead letters, history and audit log."""

    def __init__(self, app: Umbel) -> None:
        self._app = app

    def read(self, _: Sequence[str] = ()) -> Reading:
        """Return the one sight that all pages watch."""
        text = repr([_facts(ask) for ask in (self._engine, self._history)])
        digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).hexdigest()
        return {_KEY: Sight(_KEY, "", False, {}, digest)}

    def _engine(self) -> Any:
        engine = self._app.engine
        return engine.queues(), engine.workers(), [letter.id for letter in engine.dead(1)]

    def _history(self) -> Any:
        # Beside the history that is off, or not, there is the audit log.
        return self._app.history.position(), self._app.history.audit.newest()


def _facts(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except (UmbelError, OperationalError, OSError):
        # Pages say it themselves, once they are fetched.
        return "away"


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Umbel, Watcher]] = WeakKeyDictionary()


def _watcher_of(app: Umbel) -> Watcher:
    watchers = _watchers.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    watcher = watchers.get(app)
    if watcher is None:
        watcher = watchers[app] = Watcher(Pulse(app).read, _INTERVAL, _REST)
    return watcher


@router.get("/live")
async def live(
    request: Request, app: App, by: Viewer, last_event_id: Annotated[str | None, Header()] = None
) -> Response:
    """Tell whenever there is news."""
    watcher = _watcher_of(app)
    if watcher.full:
        raise Problem(503, "too-many-listeners", "Too many pages are open here now: load this one again.", retry=SOON)
    seen = last_event_id if last_event_id and _ID.fullmatch(last_event_id) else ""
    return StreamingResponse(_ticks(watcher, seen), media_type="text/event-stream", headers=EVENT_STREAM_HEADERS)


async def _ticks(watcher: Watcher, seen: str) -> AsyncIterator[bytes]:
    yield _OPENING
    loop = asyncio.get_running_loop()
    ends = loop.time() + LIFETIME
    with watcher.listen(_KEY) as listener:
        while loop.time() < ends and not listener.closed:
            sight = await listener.next(HEARTBEAT)
            if sight is None:
                yield _HEARTBEAT
            elif sight.fingerprint != seen:
                seen = sight.fingerprint
                yield f"event: tick\nid: {seen}\ndata:\n\n".encode()
