"""The entrance: every request passes it, and ``request.state.actor`` says afterwards who it is.

In this order: a token in the ``Authorization`` header, the host application's own user, a session of the sign-in page;
and, where none of these is set up, this machine. A header with a wrong token is refused, unless the host application
may know it. Who has sent too many of those waits. Strangers get the sign-in page, or 401 where a program asks;
``/healthz``, the sign-in page and static files are for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from umbel.errors import ConfigurationError
from umbel.monitor.actors import Actor
from umbel.web.failures import failure, is_for_programs
from umbel.web.problems import Problem
from umbel.web.signin.ended import Ended
from umbel.web.signin.local import LOCAL, is_local
from umbel.web.signin.next_page import path_of, this_page
from umbel.web.signin.sessions import Sessions
from umbel.web.signin.throttle import Throttle, address_key, throttled
from umbel.web.signin.tokens import Tokens
from umbel.web.signin.user import UserHook, host_actor

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.settings import Settings

__all__ = ("Doors", "Entrance", "signing_keys")

_OPEN_PATHS: Final = frozenset({"/healthz", "/signin", "/theme"})
_OPEN_FOLDERS: Final = ("/static/", "/signin/")
_OTHER_MACHINE: Final = (
    "This page is for its own machine only. To open it to others set UMBEL_WEB_TOKEN (for those who act) or "
    "UMBEL_WEB_VIEWER_TOKEN (for those who look), and start it again."
)


@dataclass(frozen=True, slots=True)
class Doors:
    """All ways in. ``openid`` is the client of OpenID Connect; ``sign_in_url`` the host application's own page."""

    tokens: Tokens
    sessions: Sessions
    user: UserHook | None = None
    openid: Any = None
    sign_in_url: str | None = None
    #: Paths for everybody, beside those that always are.
    open_paths: frozenset[str] = frozenset()
    #: What has failed on the sign-in page, by address and by name; and of tokens in headers, by address: programs that
    #: were not told of a new token are many, and ask often.
    by_page: Throttle = field(default_factory=lambda: Throttle("sign-ins", least=30, burst=10))
    by_header: Throttle = field(default_factory=lambda: Throttle("tokens in headers", least=1, burst=60))

    @property
    def has_page(self) -> bool:
        """Whether there is anything to do on the sign-in page."""
        return bool(self.tokens) or self.openid is not None

    @property
    def is_local(self) -> bool:
        """Whether nothing is set up, so that only this machine is answered."""
        return not self.has_page and self.user is None

    @classmethod
    def of(cls, app: Umbel, *, user: UserHook | None, sign_in_url: str | None, open_paths: frozenset[str]) -> Doors:
        """Return what the settings and the host application open. Raises :exc:`ConfigurationError`."""
        settings = app.settings
        tokens = Tokens(settings.web_token, settings.web_viewer_token)
        openid = None
        if settings.web_oidc_issuer:
            try:
                from umbel.web.signin.openid import OpenId
            except ModuleNotFoundError as error:
                raise ConfigurationError(
                    f"UMBEL_WEB_OIDC_ISSUER needs {error.name}: pip install 'umbel[oidc]'."
                ) from error
            openid = OpenId(settings, signing_keys(settings))
        age = int(settings.web_session_age.total_seconds())
        rules = "" if openid is None else openid.fingerprint
        ended = Ended(lambda: app.history, age)
        sessions = Sessions(signing_keys(settings), tokens, age, ended=ended, rules=rules)
        return cls(tokens, sessions, user, openid, sign_in_url, open_paths)


def signing_keys(settings: Settings) -> tuple[str, ...]:
    """Return what cookies are signed with, the newest first: a secret of its own, else what whoever signs in needs."""
    if settings.web_secret is not None:
        return tuple(part.strip() for part in settings.web_secret.get_secret_value().split(",") if part.strip())
    tokens = Tokens(settings.web_token, settings.web_viewer_token).secrets
    openid = settings.web_oidc_client_secret
    return tokens + ((openid.get_secret_value(),) if openid is not None else ())


class Entrance:
    """The middleware."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app = app
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The host application's own state is theirs: ours is seen below here only.
        outer = Request(scope)
        scope = {**scope, "state": {**scope.get("state", {}), "actor": None}}
        request = Request(scope, receive)
        path = path_of(scope)
        if "\0" in path or b"%00" in scope.get("query_string", b""):
            # No name has one, and no text of PostgreSQL's.
            await failure(request, Problem(422, "invalid-request", "This address has a character 0 in it."))(
                scope, receive, send
            )
            return
        if not path.startswith("/static/"):
            try:
                scope["state"]["actor"] = await self._actor(outer)
            except HTTPException as error:
                # The host application's own refusal.
                await failure(request, error)(scope, receive, send)
                return
            except Problem as problem:
                if not self._is_open(path):
                    await failure(request, problem)(scope, receive, send)
                    return
        if scope["state"]["actor"] is None and not self._is_open(path):
            await self._refusal(request, path)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        return path in _OPEN_PATHS or path in self._doors.open_paths or path.startswith(_OPEN_FOLDERS)

    async def _actor(self, request: Request) -> Actor | None:
        doors = self._doors
        authorization = request.headers.get("authorization")
        if not authorization or not doors.tokens:
            return await self._without_token(request)
        address = address_key(request)
        held = doors.by_header.wait(address)
        actor = None if held else doors.tokens.actor_of(authorization)
        if actor is None and doors.user is not None:
            # The host application may know that header.
            actor = await self._without_token(request)
        if actor is None:
            if held:
                raise throttled(held)
            doors.by_header.failed(address)
        return actor

    async def _without_token(self, request: Request) -> Actor | None:
        doors = self._doors
        if doors.user is not None and (actor := await host_actor(doors.user, request)) is not None:
            return actor
        if doors.is_local:
            return LOCAL if is_local(request.scope) else None
        return await doors.sessions.actor_of(request)

    def _refusal(self, request: Request, path: str) -> Response:
        doors = self._doors
        if doors.is_local:
            return failure(request, Problem(403, "other-machine", _OTHER_MACHINE))
        asks_for_page = request.method in ("GET", "HEAD") and not is_for_programs(path)
        if asks_for_page and "text/html" in request.headers.get("accept", ""):
            if doors.has_page:
                return RedirectResponse(_sign_in(request), 303)
            if doors.sign_in_url is not None:
                return RedirectResponse(doors.sign_in_url, 303)
        if not doors.has_page:
            return failure(request, Problem(403, "not-permitted", "Your account has no access to the dashboard."))
        detail = "Sign in, or send a token: 'Authorization: Bearer TOKEN', or as the password of Basic."
        answer = failure(request, Problem(401, "not-signed-in", detail))
        # Not Basic: a page's own requests would make the browser ask for a password.
        answer.headers["WWW-Authenticate"] = 'Bearer realm="Umbel"'
        return answer


def _sign_in(request: Request) -> str:
    root = str(request.scope.get("root_path", "")).rstrip("/")
    wanted = this_page(request)
    return f"{root}/signin" if wanted == "/" else f"{root}/signin?next={quote(wanted, safe='')}"
