"""Where somebody goes on after signing in, or after a form: a page of this site and nowhere else.

Pages are named as they are within the site (``/queues?state=failed``), wherever it is mounted.
"""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Scope

__all__ = ("next_page", "path_of", "this_page", "within")

#: No second slash and no backslash at the beginning, which browsers take for another host; nothing that splits a
#: header.
_WITHIN: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,3999}", re.ASCII)


def next_page(wanted: Any) -> str:
    """Return ``wanted`` if it is a page within the site, else the first one."""
    return wanted if isinstance(wanted, str) and _WITHIN.fullmatch(wanted) else "/"


def within(request: Request, wanted: Any) -> str:
    """Return the address of the page ``wanted``, for a browser."""
    return str(request.scope.get("root_path", "")).rstrip("/") + next_page(wanted)


def path_of(scope: Scope) -> str:
    """Return the path of a request within the site."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path or "/"


def this_page(request: Request) -> str:
    """Return the page that was asked for, with its query."""
    raw = request.url.path.removeprefix(request.scope.get("root_path", "")) or "/"
    return f"{raw}?{request.url.query}" if request.url.query else raw
