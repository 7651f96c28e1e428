"""Errors as problem documents (RFC 9457): a machine reads ``type``, a person reads ``detail``, one clear sentence.

Every answer of the router is encoded here, so it is valid JSON whatever a job returned or raised.
"""

from __future__ import annotations

import errno
import json
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from kombu.exceptions import OperationalError
from starlette.concurrency import run_in_threadpool

from umbel.errors import ConfigurationError, JobFinished, JobNotFound, StoreError

__all__ = ("NO_STORE", "SOON", "Answer", "Problem", "ProblemRoute", "ask_store", "encode", "is_away", "not_found")

_P = ParamSpec("_P")
_T = TypeVar("_T")


logger = logging.getLogger("umbel.web")

#: What a connection fails with that has no class of its own among these.
_CONNECTION: Final = (ConnectionError, TimeoutError, socket.gaierror, socket.herror, ssl.SSLError)
_NETWORK: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}
)

#: A job's state changes, and may be one person's own: no cache on the way may keep it.
NO_STORE: Final = {"Cache-Control": "no-store"}
#: Seconds after which a store that is away is worth another question.
SOON: Final = 1


class Problem(Exception):
    """An answer that is an error: ``status`` is the HTTP status, ``kind`` a stable word for programs.

    ``retry``: in how many seconds asking again can help; 0 when it cannot.
    """

    def __init__(self, status: int, kind: str, detail: str, *, retry: int = 0, **members: Any) -> None:
        self.status = status
        self.kind = kind
        self.detail = detail
        self.retry = retry
        self.members = members
        super().__init__(detail)

    def answer(self) -> Response:
        """Return this as ``application/problem+json``."""
        body = {
            "type": f"urn:umbel:problem:{self.kind}",
            "title": self.kind.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            **self.members,
        }
        return Answer(body, self.status, headers=NO_STORE | self.headers, media_type="application/problem+json")

    @property
    def headers(self) -> dict[str, str]:
        """``Retry-After``, which tells whether asking again can help, and when."""
        return {"Retry-After": str(self.retry)} if self.retry else {}


class Answer(JSONResponse):
    """JSON that every parser accepts: no NaN, no lone surrogates."""

    def render(self, content: Any) -> bytes:
        return encode(content).encode()


class ProblemRoute(APIRoute):
    """A route whose :class:`Problem` and Umbel errors become problem documents, without touching the application."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, JobNotFound, JobFinished) as error:
                return as_problem(error).answer()

        return answer


def encode(content: Any) -> str:
    """Return ``content`` as one line of JSON. A file name that was no valid text may leave a lone surrogate: ``?``."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode("utf-8")


def not_found() -> Problem:
    """Return the one answer for jobs that are unknown, expired or someone else's, so that ids do not leak."""
    return Problem(404, "job-not-found", "There is no such job: check the id, or its result has expired.")


async def ask_store(ask: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
    """Return what ``ask`` returns, called in a thread; a store that is away is a 503, its path stays in the log."""
    try:
        return await run_in_threadpool(ask, *args, **options)
    except (StoreError, OperationalError, OSError) as error:
        if not is_away(error):
            raise
        logger.error("the job store cannot be reached: %s", error)
        detail = "The job store cannot be reached now: try again shortly."
        raise Problem(503, "store-unavailable", detail, retry=SOON) from error
    except ConfigurationError as error:
        # A broker of Celery's own transports is not asked.
        raise Problem(501, "engine-without-status", str(error)) from error


def is_away(error: Exception) -> bool:
    """Tell whether ``error`` means that a store cannot be reached.

    Of the system's own errors those of a connection do; a file that is missing, a template's among them, is a defect.
    """
    if isinstance(error, OSError):
        return isinstance(error, _CONNECTION) or error.errno in _NETWORK
    return isinstance(error, StoreError | OperationalError)


def as_problem(error: Problem | JobNotFound | JobFinished) -> Problem:
    """Return what the client is told of ``error``."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, JobNotFound):
        return not_found()
    detail = f"The job has already ended ({error.state}), so there is nothing to cancel."
    return Problem(409, "job-finished", detail, state=str(error.state))
