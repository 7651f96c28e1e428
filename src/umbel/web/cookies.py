"""The dashboard's cookies: below its own path only, out of reach of scripts, and only over TLS where there is TLS.

Browsers tell servers apart by host, not by port, so the names carry the application's: two dashboards on one machine
do not sign each other out. Over TLS they begin with ``__Secure-``, so that no page without TLS can set them.
"""

from __future__ import annotations

import hashlib
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

__all__ = ("drop_cookie", "is_secure", "read_cookie", "set_cookie")


def set_cookie(
    request: Request,
    response: Response,
    name: str,
    value: str,
    *,
    age: int | None = None,
    same_site: Literal["lax", "strict"] = "strict",
) -> None:
    """Let ``response`` set a cookie; ``age`` in seconds, without one until the browser is closed."""
    response.set_cookie(
        _name(request, name),
        value,
        max_age=age,
        path=_path(request),
        secure=is_secure(request),
        httponly=True,
        samesite=same_site,
    )


def read_cookie(request: Request, name: str) -> str:
    """Return a cookie; an empty text when there is none."""
    return request.cookies.get(_name(request, name), "")


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Let ``response`` remove a cookie, if the browser has it."""
    if _name(request, name) in request.cookies:
        response.delete_cookie(
            _name(request, name), path=_path(request), secure=is_secure(request), httponly=True, samesite="strict"
        )


def is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to us or to a proxy in front."""
    public = request.app.state.site.public_url
    return request.url.scheme == "https" or (public or "").startswith("https:")


def _name(request: Request, name: str) -> str:
    whose = hashlib.sha256(request.app.state.site.title.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{'__Secure-' if is_secure(request) else ''}umbel_{whose}_{name}"


def _path(request: Request) -> str:
    return request.scope.get("root_path", "").rstrip("/") or "/"
