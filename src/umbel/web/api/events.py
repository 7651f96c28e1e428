"""Event streams (server-sent): one job until it has ended, and all jobs as they are recorded.

Both resume by ``Last-Event-ID``. Of a job its stream tells how far it is, and neither result nor error: these are for
``GET /api/jobs/{id}``, which shows what the history keeps. The feed is read once a second for all who listen with one
number; it tells each job once, when it is first recorded, in the order of its number.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final
from weakref import WeakKeyDictionary

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from umbel.app import Umbel
from umbel.monitor.feed import Feed
from umbel.monitor.jobs_view import JobRow
from umbel.web.api.answers import PROBLEMS
from umbel.web.api.shapes.jobs import JobShape
from umbel.web.api.values import PathId
from umbel.web.problems import NO_STORE, SOON, Problem, encode
from umbel.web.sight import Sight
from umbel.web.signin.people import App, Viewer
from umbel.web.stream import EVENT_STREAM_HEADERS, HEARTBEAT, LIFETIME, Client, events
from umbel.web.watcher import Reading, Watcher, watcher_of

__all__ = ("router",)

router = APIRouter(tags=["events"], responses=PROBLEMS)

_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"text/event-stream": {}}, "description": "Events."},
}
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_OPENING: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b": still here\n\n"
_KEY: Final = "newest"
#: Seconds between two looks.
_INTERVAL: Final = 1.0
#: So many jobs are made up for.
_MISSED_MOST: Final = 10_000
_HIDDEN: Final = ("result", "meta", "error")
_LastEvent = Annotated[str | None, Header(max_length=64)]


class _Discreet(Client):
    """Tells how far a job is, and not what it returned."""

    def _event(self, name: str, data: Any) -> bytes:
        return super()._event(name, {key: value for key, value in data.items() if key not in _HIDDEN})


@router.get(
    "/jobs/{job_id}/events",
    response_class=StreamingResponse,
    responses={**_STREAM, 204: {"description": "It has ended, and you have seen it: do not come back."}},
)
async def job_events(app: App, by: Viewer, job_id: PathId, last_event_id: _LastEvent = None) -> Response:
    """Stream the changes of a job: `state`, `progress`, at the end `finished`."""
    client = _Discreet(last_event_id)
    sight = await run_in_threadpool(lambda: Sight.of(app.status(job_id)))
    if sight.finished and client.has_seen(sight):
        return Response(status_code=204, headers=NO_STORE)
    watcher = watcher_of(app)
    if watcher.full:
        raise Problem(503, "too-many-listeners", "Too many clients listen here now: poll the job.", retry=SOON)
    stream = events(watcher, sight, client)
    return StreamingResponse(stream, media_type="text/event-stream", headers=EVENT_STREAM_HEADERS)


@router.get("/events", response_class=StreamingResponse, responses=_STREAM)
async def feed(app: App, by: Viewer, last_event_id: _LastEvent = None) -> Response:
    """Stream all jobs as they are recorded: `job`, whose id is a number; `gap` where more than 10,000 were missed."""
    watcher = _watcher_of(app)
    if watcher.full:
        raise Problem(503, "too-many-listeners", "Too many clients listen here now: come back later.", retry=SOON)
    newest = await run_in_threadpool(app.history.jobs.newest)
    known = bool(last_event_id and _NUMBER.fullmatch(last_event_id))
    seen = min(int(last_event_id or 0), newest) if known else newest
    stream = _jobs(app, watcher, seen)
    return StreamingResponse(stream, media_type="text/event-stream", headers=EVENT_STREAM_HEADERS)


_watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Umbel, Watcher]] = WeakKeyDictionary()


def _watcher_of(app: Umbel) -> Watcher:
    watchers = _watchers.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    watcher = watchers.get(app)
    if watcher is None:
        watcher = watchers[app] = Watcher(lambda _: _newest(app), _INTERVAL)
    return watcher


def _newest(app: Umbel) -> Reading:
    number = app.history.jobs.newest()
    return {_KEY: Sight(_KEY, "", False, {"number": number}, str(number))}


async def _jobs(app: Umbel, watcher: Watcher, seen: int) -> AsyncIterator[bytes]:
    yield _OPENING
    loop = asyncio.get_running_loop()
    ends = loop.time() + LIFETIME
    with watcher.listen(_KEY) as listener:
        while loop.time() < ends and not listener.closed:
            sight = await listener.next(HEARTBEAT)
            if sight is None:
                yield _HEARTBEAT
                continue
            newest = int(sight.body["number"])
            if newest - seen > _MISSED_MOST:
                seen = newest - _MISSED_MOST
                yield f"event: gap\nid: {seen}\ndata: {{}}\n\n".encode()
            while seen < newest:
                rows = await run_in_threadpool(_after, app, seen)
                for row in rows:
                    shown = encode(JobShape.of(row).model_dump(mode="json"))
                    yield f"event: job\nid: {row.number}\ndata: {shown}\n\n".encode()
                # What was deleted meanwhile has a number that is not there any more.
                seen = rows[-1].number if rows else newest


def _after(app: Umbel, number: int) -> tuple[JobRow, ...]:
    return Feed(app.history.database).after(number)
