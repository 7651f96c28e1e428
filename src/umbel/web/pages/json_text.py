"""JSON as people read it, and what they write as JSON."""

from __future__ import annotations

import json
from typing import Any

from umbel.web.pages.query import wrong

__all__ = ("given_list", "given_object", "pretty")


def pretty(text: str | None) -> str:
    """Return JSON with one value a line; what was cut, and so is none any more, as it is."""
    if text is None:
        return ""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def given_list(text: str) -> list[Any]:
    """Return the positional arguments that somebody wrote. Raises a :exc:`Problem` (422)."""
    found = _parsed(text or "[]", 'a list, such as [1, "two"]')
    if not isinstance(found, list):
        raise wrong('The arguments are to be a list in JSON, such as [1, "two"].')
    return found


def given_object(text: str) -> dict[str, Any]:
    """Return the named arguments that somebody wrote. Raises a :exc:`Problem` (422)."""
    found = _parsed(text or "{}", 'an object, such as {"number": 1}')
    if not isinstance(found, dict):
        raise wrong('The named arguments are to be an object in JSON, such as {"number": 1}.')
    return found


def _parsed(text: str, what: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise wrong(f"This is no JSON ({error}): write {what}.") from None


def _refused(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
