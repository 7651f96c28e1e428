"""The site: the dashboard and the API of one application, to be mounted anywhere or served alone.

    api.mount("/umbel", jobs.web())                                   # in any FastAPI or Starlette application
    api.mount("/umbel", jobs.web(user=lambda request: WebUser(request.user.name, "operator")))

It is a FastAPI application and knows no prefix of its own: addresses are made from the request. Who may come in is said
in :mod:`umbel.web.signin.entrance`; without anything set up it answers this machine only.

To add to it: a page is a module of :mod:`umbel.web.pages`, a noun of the API one of :mod:`umbel.web.api`, with a
module-level ``router = APIRouter()``. Each is found and included, the API's below ``/api``; no list has to be changed.
A page's ``router`` may stand beside them as a module of :data:`BESIDE`. What a handler may ask for is in
:mod:`umbel.web.signin.people`, how it renders in :mod:`umbel.web.render`, what errors become in
:mod:`umbel.web.failures`. Every request that is not GET needs an operator and passes the checks against forgery before
its handler is called. ``request.app.state.site`` is the :class:`Site`.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Depends, FastAPI
from jinja2 import Environment
from starlette.middleware.body_limit import RequestBodyLimitMiddleware

from umbel.web import api, pages
from umbel.web.assets import Assets
from umbel.web.failures import Unexpected, add_failures
from umbel.web.headers import SecurityHeaders
from umbel.web.navigation import Page, navigation
from umbel.web.render import templates
from umbel.web.signin.entrance import Doors, Entrance
from umbel.web.signin.people import protect, viewer
from umbel.web.signin.user import UserHook

if TYPE_CHECKING:
    from types import ModuleType

    from umbel.app import Umbel

__all__ = ("BESIDE", "Site", "build_web")

#: Modules with a ``router`` beside the pages and the API.
BESIDE: Final = ("assets", "health", "live", "metrics", "signin.pages", "theme")
#: Of these the handlers themselves say who may ask.
_FOR_EVERYBODY: Final = frozenset({"assets", "health", "signin.pages", "theme"})
#: What ``UMBEL_METRICS_OPEN`` opens.
_PROGRAMS: Final = frozenset({"/metrics", "/autoscale"})
#: A request's body, in bytes: the arguments of a job may be sent, each byte of them as three.
_BODY_LEAST: Final = 1_048_576
_BODY_FACTOR: Final = 4


@dataclass(frozen=True, slots=True)
class Site:
    """What all of the site share."""

    app: Umbel
    #: What the application is called in headings.
    title: str
    doors: Doors
    assets: Assets
    templates: Environment
    #: Of the navigation.
    pages: tuple[Page, ...]
    #: ``UMBEL_WEB_URL``: where people reach it.
    public_url: str | None

    def has(self, path: str) -> bool:
        """Whether the navigation leads to ``path``."""
        return any(page.path == path for page in self.pages)


def build_web(
    app: Umbel,
    *,
    user: UserHook | None = None,
    sign_in_url: str | None = None,
    title: str | None = None,
    open_paths: frozenset[str] = frozenset(),
) -> FastAPI:
    """Return the site of ``app``.

    ``user``: names the host application's own users, see :class:`umbel.web.signin.user.WebUser`; ``sign_in_url``: where
    those whom it does not name are sent. ``title``: by default the application's name. ``open_paths``: for everybody,
    without signing in. Raises :exc:`ConfigurationError` for settings that cannot work.
    """
    settings = app.settings
    if settings.metrics_open:
        open_paths |= _PROGRAMS
    routers = list(_routers(open_paths))
    doors = Doors.of(app, user=user, sign_in_url=sign_in_url, open_paths=open_paths)
    web = FastAPI(
        title=f"Umbel: {title or app.main or 'jobs'}",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(protect)],
    )
    paths = [route.path for kind, router in routers if kind == "page" for route in router.routes]  # type: ignore[attr-defined]
    web.state.site = Site(
        app, title or str(app.main or "jobs"), doors, Assets(), templates(), navigation(paths), settings.web_url
    )
    add_failures(web)
    for kind, router in routers:
        prefix = "/api" if kind == "api" else ""
        signed_in = [] if kind == "everybody" else [Depends(viewer)]
        web.include_router(router, prefix=prefix, dependencies=signed_in, include_in_schema=kind == "api")
    # The last one added is the outermost: errors and refusals get the headers too.
    most = max(_BODY_LEAST, _BODY_FACTOR * settings.max_payload_bytes)
    web.add_middleware(RequestBodyLimitMiddleware, max_body_size=most)
    web.add_middleware(Entrance, doors=doors)
    web.add_middleware(Unexpected)
    web.add_middleware(SecurityHeaders)
    return web


def _routers(open_paths: frozenset[str]) -> Iterator[tuple[str, APIRouter]]:
    """Yield what kind each router is, and the router."""
    for name in BESIDE:
        if importlib.util.find_spec(f"umbel.web.{name}"):
            kind = "everybody" if name in _FOR_EVERYBODY or f"/{name}" in open_paths else "beside"
            yield kind, importlib.import_module(f"umbel.web.{name}").router
    for kind, package in (("page", pages), ("api", api)):
        for module in _modules(package):
            router = getattr(module, "router", None)
            if router is not None:
                yield kind, router


def _modules(package: Any) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"{package.__name__}.{found.name}")
