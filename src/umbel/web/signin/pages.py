"""The sign-in page, signing out, and the way to an OpenID Connect provider and back.

GET  /signin             the page; ``next`` is where to go on, within this site
POST /signin             a name and a token; who has failed too often gets 429
GET  /signin/openid      on to the provider
GET  /signin/callback    back from there
POST /signout            ends the session; with everywhere all that this person has
"""

from __future__ import annotations

import logging
from typing import Annotated, Any, Final

from fastapi import APIRouter, Form, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from umbel.errors import UmbelError
from umbel.monitor.actors import Actor
from umbel.web.problems import Problem
from umbel.web.render import go_on, link, render
from umbel.web.signin.entrance import Doors
from umbel.web.signin.forgery import renew_seed
from umbel.web.signin.next_page import next_page, within
from umbel.web.signin.throttle import address_key, throttled

__all__ = ("router",)

logger = logging.getLogger("umbel.web")

router: Final = APIRouter()
_FIELD_MOST: Final = 1000
_PARTLY: Final = (
    "You are signed out in this browser. The history's database cannot be written now, so other processes of this "
    "dashboard may not know it: sign in and out again later."
)
_Next = Annotated[str, Query(alias="next", max_length=4000)]


@router.get("/signin")
def page(request: Request, wanted: _Next = "/") -> Response:
    """Show the sign-in page."""
    return _page(request, next_page(wanted))


@router.post("/signin")
async def sign_in(
    request: Request,
    token: Annotated[str, Form(max_length=_FIELD_MOST)] = "",
    name: Annotated[str, Form(max_length=_FIELD_MOST)] = "",
    wanted: Annotated[str, Form(alias="next", max_length=4000)] = "/",
) -> Response:
    """Begin the session of who has a token."""
    doors, name = _doors(request), name.strip()
    # Not by the name, which anybody may say: that would only keep its owner out.
    address = address_key(request)
    if wait := doors.by_page.wait(address):
        return _held(request, next_page(wanted), throttled(wait))
    found = doors.tokens.fingerprint(token.strip())
    if found is None:
        doors.by_page.failed(address)
        logger.warning("Somebody was refused at the sign-in page: %s", _client(request))
        return _page(request, next_page(wanted), "That is not a token of this dashboard.", 403)
    fingerprint, role = found
    return await _begin(request, Actor(name or role.value, role, "token"), wanted, fingerprint)


@router.post("/signout")
def sign_out(request: Request, everywhere: Annotated[bool, Form()] = False) -> Response:
    """End the session, or with ``everywhere`` all that this person has."""
    doors = _doors(request)
    path = "/signin" if doors.has_page else "/"
    answer = go_on(request, path, "You are signed out everywhere." if everywhere else "")
    try:
        actor = doors.sessions.end(request, everywhere=everywhere)
    except UmbelError as error:
        logger.error("A session was ended in this process only: %s", error)
        answer = go_on(request, path, _PARTLY, wrong=True)
    else:
        if actor is not None:
            _write_down(request, actor, "session.end", everywhere=everywhere)
    doors.sessions.forget(request, answer)
    renew_seed(request, answer)
    return answer


@router.get("/signin/openid")
async def to_provider(request: Request, wanted: _Next = "/") -> Response:
    """Go on to the provider."""
    answer: Response = await _openid(request).begin(request, next_page(wanted))
    return answer


@router.get("/signin/callback")
async def from_provider(request: Request) -> Response:
    """Come back from the provider."""
    openid = _openid(request)
    try:
        actor, wanted = await openid.finish(request)
    except Problem as problem:
        logger.warning("Somebody came back from the provider and was refused: %s", problem.detail)
        answer = _page(request, "/", problem.detail, problem.status)
    else:
        answer = await _begin(request, actor, wanted)
    openid.forget(request, answer)
    return answer


async def _begin(request: Request, actor: Actor, wanted: str, fingerprint: str = "") -> Response:
    logger.info("%s signed in by %s as %s", actor.name, actor.via, actor.role)
    await run_in_threadpool(_write_down, request, actor, "session.begin")
    if actor.via == "openid":
        await run_in_threadpool(_end_other_roles, request, actor)
    answer = RedirectResponse(within(request, wanted), 303)
    _doors(request).sessions.begin(request, answer, actor, fingerprint)
    renew_seed(request, answer)
    return answer


def _write_down(request: Request, actor: Actor, action: str, **detail: Any) -> None:
    try:
        request.app.state.site.app.history.audit.write(actor, action, _client(request), detail)
    except UmbelError as error:
        # Whoever looks for what is wrong must get in.
        logger.error("%s by %s is missing in the audit log: %s", action, actor.name, error)


def _end_other_roles(request: Request, actor: Actor) -> None:
    try:
        _doors(request).sessions.end_other_roles(actor)
    except UmbelError as error:
        logger.error("Sessions that %s began in another role may go on: %s", actor.name, error)


def _page(request: Request, wanted: str, trouble: str | None = None, status: int = 200) -> Response:
    doors = _doors(request)
    if not doors.has_page:
        return RedirectResponse(link(request, "/"), 303)
    return render(request, "signin.html", status, wanted=wanted, trouble=trouble, doors=doors)


def _held(request: Request, wanted: str, problem: Problem) -> Response:
    answer = _page(request, wanted, problem.detail, problem.status)
    answer.headers.update(problem.headers)
    return answer


def _doors(request: Request) -> Doors:
    doors: Doors = request.app.state.site.doors
    return doors


def _openid(request: Request) -> Any:
    openid = _doors(request).openid
    if openid is None:
        raise Problem(404, "not-found", "There is no such page.")
    return openid


def _client(request: Request) -> str:
    return request.client.host if request.client else "a socket"
