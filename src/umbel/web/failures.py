"""Errors of the site: a page for people, a problem document (RFC 9457) for programs, and one sentence for both.

Handlers just raise: a :exc:`Problem`, or any of Umbel's own errors. What nobody expected is logged with its traceback
and answered by 500 without a word of what it was.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from kombu.exceptions import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from umbel import errors
from umbel.plain_text import one_line
from umbel.web.problems import SOON, Problem, is_away
from umbel.web.render import render
from umbel.web.signin.next_page import path_of

__all__ = ("Unexpected", "add_failures", "failure", "is_for_programs")

logger = logging.getLogger("umbel.web")

_PROGRAMS: Final = ("/api/", "/live", "/metrics", "/autoscale", "/healthz", "/static/")
#: What our own errors are in HTTP, the first that fits.
_STATUS: Final[tuple[tuple[str, int, str], ...]] = (
    ("JobNotFound", 404, "not-found"),
    ("LetterNotFound", 404, "not-found"),
    ("BatchNotFound", 404, "not-found"),
    ("UnknownName", 404, "not-found"),
    ("NotPermitted", 403, "not-permitted"),
    ("JobFinished", 409, "job-finished"),
    ("BatchEnded", 409, "batch-ended"),
    ("NoAnswer", 504, "no-answer"),
    ("LetterError", 409, "letter-not-replayable"),
    ("InvalidArguments", 422, "invalid-arguments"),
    ("PayloadTooLarge", 413, "payload-too-large"),
    ("StoreError", 503, "store-unavailable"),
    ("DispatchError", 503, "not-dispatched"),
    ("ConfigurationError", 501, "not-configured"),
    ("UmbelError", 409, "refused"),
)
_TITLES: Final = {
    400: "That was not understood",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not allowed",
    409: "That cannot be done now",
    413: "Too large",
    422: "That does not fit",
    429: "Too many tries",
    501: "Not set up",
    503: "Not reachable now",
    504: "No answer in time",
}


def add_failures(site: FastAPI) -> None:
    """Let ``site`` answer errors by this module."""
    for kind in (HTTPException, Problem, RequestValidationError, errors.UmbelError, OperationalError, OSError):
        site.add_exception_handler(kind, _handle)


def is_for_programs(path: str) -> bool:
    """Tell whether what is at ``path`` within the site is no page."""
    return path.startswith(_PROGRAMS)


async def _handle(request: Request, error: Exception) -> Response:
    if isinstance(error, OSError) and not is_away(error):
        # No store: for whoever answers what nobody expected.
        raise error
    return failure(request, error)


def failure(request: Request, error: Exception) -> Response:
    """Return the answer to ``request`` that ``error`` is."""
    problem = _problem(error)
    if problem.status >= 500:
        logger.error("%s %s: %s", request.method, one_line(request.url.path), error)
    if is_for_programs(path_of(request.scope)):
        answer = (_AWAY if isinstance(error, errors.StoreError) else problem).answer()
    else:
        title = _TITLES.get(problem.status, "That went wrong")
        answer = render(request, "failure.html", problem.status, heading=title, detail=problem.detail)
        answer.headers.update(problem.headers)
    if isinstance(error, HTTPException) and error.headers:
        answer.headers.update(error.headers)
    return answer


def _problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        detail = error.detail if isinstance(error.detail, str) and error.detail else "That cannot be done."
        known = {404: "There is no such page.", 405: "This address does not take that.", 413: "That is too large."}
        return Problem(
            error.status_code, _KINDS.get(error.status_code, "refused"), known.get(error.status_code, detail)
        )
    if isinstance(error, RequestValidationError):
        return Problem(422, "invalid-request", _sentence(error), errors=_details(error))
    for name, status, kind in _STATUS:
        known_error = getattr(errors, name, None)
        if known_error is not None and isinstance(error, known_error):
            return Problem(status, kind, str(error), retry=SOON if status == 503 else 0)
    return _AWAY


#: Where the store is stays in the log, and on pages.
_AWAY: Final = Problem(503, "store-unavailable", "The job store cannot be reached now: try again shortly.", retry=SOON)
_KINDS: Final = {
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    401: "not-signed-in",
    403: "not-permitted",
}


def _sentence(error: RequestValidationError) -> str:
    one: Any = next(iter(error.errors()), {})
    where = ".".join(str(part) for part in one.get("loc", ())[1:]) or "the request"
    return f"{where}: {one.get('msg', 'is not what is expected')}."


def _details(error: RequestValidationError) -> list[dict[str, Any]]:
    # Without what was sent: it may be secret, and it may be no valid text.
    return [{"loc": [str(part) for part in one["loc"]], "msg": str(one["msg"])} for one in error.errors()[:20]]


class Unexpected:
    """Answers what nobody expected by 500, inside of the headers that every answer gets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, note)
        except Exception:
            if scope["type"] != "http" or started:
                raise
            request = Request(scope, receive)
            logger.exception("%s %s failed", request.method, one_line(request.url.path))
            detail = "That is a defect of ours, or of your application's: the log of this process has its traceback."
            await failure(request, Problem(500, "internal", detail))(scope, receive, send)
