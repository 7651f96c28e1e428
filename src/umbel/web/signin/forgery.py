"""Protection against forged requests: what a foreign page makes a signed-in browser send does nothing.

Every request that may change something needs all of this, unless it is a Bearer token that let it in, which no browser
sends by itself, or it came from no browser (no cookie, and none of the headers that every browser adds):

- the browser says that one of our pages sent it: ``Sec-Fetch-Site: same-origin``, or, where it does not say, an
  ``Origin`` that is ours;
- the form's field ``csrf_token``, or the header ``X-CSRF-Token``, is the one that our page had: made from a random
  cookie of this browser and who is signed in, so that one of another browser or from before a sign-in is worth
  nothing.

Templates write the field by ``{{ csrf_field() }}``; scripts read ``<meta name="csrf-token">``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from umbel.monitor.actors import Actor
from umbel.web.cookies import read_cookie, set_cookie
from umbel.web.problems import Problem
from umbel.web.signin.authority import authority_of

__all__ = ("FIELD", "HEADER", "SAFE", "Forgery", "check_forgery", "renew_seed")

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
FIELD: Final = "csrf_token"
HEADER: Final = "x-csrf-token"
_COOKIE: Final = "csrf"
_SEED: Final = re.compile(r"[0-9a-f]{32}")
_BROWSERS: Final = ("cookie", "origin", "sec-fetch-site", "sec-fetch-mode", "referer")
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


class Forgery:
    """The token of one request's page; its cookie is set on the answer where the browser has none."""

    def __init__(self, request: Request) -> None:
        self._request: Final = request
        found = _seed(request)
        self._seed: Final = found or secrets.token_hex(16)
        self._is_new: Final = not found

    @property
    def token(self) -> str:
        """What a form of this page must send back."""
        return _token(self._seed, _actor(self._request))

    def finish(self, response: Response) -> None:
        """Let the browser keep what the token was made from."""
        if self._is_new:
            _keep(self._request, response, self._seed)


def renew_seed(request: Request, response: Response) -> None:
    """Let all tokens that this browser has be worth nothing: who it is has changed."""
    _keep(request, response, secrets.token_hex(16))


def _keep(request: Request, response: Response, seed: str) -> None:
    # Lax: with strict, whoever followed a link from elsewhere would get another one, and other pages' tokens be stale.
    set_cookie(request, response, _COOKIE, seed, same_site="lax")


async def check_forgery(request: Request) -> None:
    """Raise a :exc:`Problem` for a request that one of our pages did not send."""
    if _came_by_bearer(request):
        return
    if not any(name in request.headers for name in _BROWSERS):
        return
    if not _is_from_us(request):
        raise Problem(403, "foreign-origin", "Another site has sent this, so nothing was done: act on our own page.")
    seed = _seed(request)
    given = await _given(request)
    if not seed or not hmac.compare_digest(_token(seed, _actor(request)).encode(), given.encode("utf-8", "replace")):
        detail = "This page was too old to act on, so nothing was done: load it again, then repeat what you did."
        raise Problem(403, "stale-page", detail)


def _came_by_bearer(request: Request) -> bool:
    """Whether a Bearer token is why they were let in: one that means nothing excuses nobody.

    Which of what it gets the host application goes by we do not know: a cookie, unless there is none.
    """
    if not request.headers.get("authorization", "").lower().startswith("bearer "):
        return False
    actor = _actor(request)
    via = actor.via if actor else ""
    return via == "token" or (via == "host" and ("cookie" not in request.headers or _is_from_us(request)))


def _is_from_us(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    if origin is None:
        # A program that keeps cookies: its token decides.
        return True
    public = request.app.state.site.public_url
    ours = {request.headers.get("host", "").lower()} | ({authority_of(public)} if public else set())
    return authority_of(origin) in ours - {"?"}


async def _given(request: Request) -> str:
    if HEADER in request.headers:
        return request.headers[HEADER]
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in _FORMS:
        return ""
    form = await request.form()
    value = form.get(FIELD, "")
    return value if isinstance(value, str) else ""


def _seed(request: Request) -> str:
    seed = read_cookie(request, _COOKIE)
    return seed if _SEED.fullmatch(seed) else ""


def _actor(request: Request) -> Actor | None:
    actor: Actor | None = getattr(request.state, "actor", None)
    return actor


def _token(seed: str, actor: Actor | None) -> str:
    who = f"{actor.via}\0{actor.name}" if actor else ""
    return hmac.new(seed.encode(), f"umbel csrf\0{who}".encode(), hashlib.sha256).hexdigest()
