"""Doing what a form asks for, and going on to a page that says what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from umbel.errors import NotPermitted, StoreError, UmbelError
from umbel.web.render import go_on

if TYPE_CHECKING:
    from umbel.monitor.operations import Outcome

__all__ = ("act",)


def act(request: Request, path: str, step: Callable[[], Outcome]) -> Response:
    """Run ``step`` and go on to ``path``, where its sentence is shown, or why it could not be done.

    Raises :exc:`NotPermitted`, and a :exc:`StoreError`, which have pages of their own.
    """
    try:
        outcome = step()
    except (NotPermitted, StoreError):
        raise
    except UmbelError as error:
        return go_on(request, path, str(error), wrong=True)
    return go_on(request, path, outcome.text)
