"""Dispatches that go out after the response: a FastAPI dependency.

    @api.post("/signup", dependencies=[Depends(jobs.after_response())])
    async def signup(form: Form) -> Answer: ...

What the endpoint, and whatever depends on this before it, dispatches is put together at once (so that wrong arguments
are an error of the request) and sent when the response has been sent. It is dropped when an exception left the
endpoint, ``HTTPException`` included, when the response could not be sent, or when the injected response's status says
failure. Between the response and the dispatch a process that dies loses the jobs, and so does a broker that is away
then: that is logged, with their ids. What must not be lost belongs to the transaction: ``jobs.in_transaction``.
"""

# No postponed annotations here: FastAPI reads those of the inner function.
import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from fastapi import Request, Response

from umbel.engine.collecting import offline
from umbel.engine.offline import OfflineProducer
from umbel.engine.store import Outgoing
from umbel.engine.uniques import queue_all
from umbel.errors import StoreError

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("build_after_response",)

logger = logging.getLogger("umbel.web")

_FAILED = 400


def build_after_response(app: "Umbel") -> Callable[[Request, Response], AsyncIterator[None]]:
    """Return the dependency for the jobs of ``app``."""

    async def after_response(request: Request, response: Response) -> AsyncIterator[None]:
        messages: list[Outgoing] = []
        with offline(messages, OfflineProducer(app)):
            yield
        if (response.status_code or 0) >= _FAILED:
            messages.clear()
        if messages:
            await asyncio.to_thread(_send, app, messages, f"{request.method} {request.url.path}")

    return after_response


def _send(app: "Umbel", messages: list[Outgoing], place: str) -> None:
    try:
        queue_all(app.engine, messages)
    except StoreError as error:
        # The client has its answer, so there is nobody left to tell.
        ids = ", ".join(str(message.task_id) for message in messages)
        logger.error("%s was answered, and its %d jobs could not be queued (%s): %s", place, len(messages), error, ids)
