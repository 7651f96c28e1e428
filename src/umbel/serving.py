"""What an application offers to web applications. FastAPI is imported when something of this is used, and not
before."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from fastapi import APIRouter, FastAPI

__all__ = ("WithWeb",)


class WithWeb:
    """A part of :class:`umbel.Umbel`."""

    def web(self, **options: Any) -> FastAPI:
        """Return the dashboard with its API, to be mounted in any FastAPI or Starlette application.

            api.mount("/umbel", jobs.web())

        ``user=``: who your own users are there. Without it, ``UMBEL_WEB_TOKEN`` or OpenID Connect, it answers this
        machine only. See :mod:`umbel.web.site`. Raises :exc:`ConfigurationError`.
        """
        from umbel.web.site import build_web

        app: Any = self
        return build_web(app, **options)

    def router(self, **options: Any) -> APIRouter:
        """Return a FastAPI router with status, result, events and cancel of jobs. See :mod:`umbel.web.router`."""
        from umbel.web.router import build_router

        app: Any = self
        return build_router(app, **options)

    def lifespan(self, **options: Any) -> Callable[[FastAPI], AbstractAsyncContextManager[AsyncIterator[None]]]:
        """Return a FastAPI lifespan; ``worker=True`` runs a worker as long as the web process lives."""
        from umbel.web.lifespan import build_lifespan

        app: Any = self
        return build_lifespan(app, **options)

    def after_response(self) -> Callable[..., AsyncIterator[None]]:
        """Return a FastAPI dependency: what the request dispatches goes out after its response, if that succeeds.

        See :mod:`umbel.web.after_response`.
        """
        return self._after_response

    @cached_property
    def _after_response(self) -> Callable[..., AsyncIterator[None]]:
        from umbel.web.after_response import build_after_response

        app: Any = self
        return build_after_response(app)
