"""What every request of the API may be answered with beside what it asks for."""

from __future__ import annotations

from typing import Any, Final

from umbel.web.api.shapes.shape import Problem

__all__ = ("PROBLEMS",)

_TEXTS: Final = {
    400: "What was sent cannot be read.",
    401: "Nobody is signed in.",
    403: "A viewer may not act, or the request was forged.",
    404: "There is no such thing.",
    409: "It cannot be done now; nothing was changed.",
    413: "What was sent is too large.",
    422: "A value does not fit.",
    501: "What this stands on is not set up.",
    503: "The store is away: try again after `Retry-After` seconds.",
    504: "A worker has not answered in time: it may yet do what was asked.",
}
_CONTENT: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
#: The responses of every router here.
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": text, "content": _CONTENT} for status, text in _TEXTS.items()
}
# Its schema is told of once.
PROBLEMS[422]["model"] = Problem
# The server itself refuses a body that is too large for anything.
PROBLEMS[413]["content"] = {**_CONTENT, "text/plain": {"schema": {"type": "string"}}}
