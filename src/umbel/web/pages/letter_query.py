"""Which dead letters the address of a page means."""

from __future__ import annotations

from typing import Any, Final

from umbel.engine.letters import LetterFilter
from umbel.web.pages.query import Query, wrong

__all__ = ("LETTER_FILTERS", "TIMES", "letters_meant")

_FIELDS: Final = ("task", "queue", "exception", "fingerprint", "release", "owner")
#: What an address says for the two that are known apart.
_REPLAYING: Final = {"yes": True, "no": False}
TIMES: Final = ("since", "until")
LETTER_FILTERS: Final = ("number", *_FIELDS, "replaying", *TIMES)


def letters_meant(query: Query) -> LetterFilter:
    """Return the filter. Raises a :exc:`Problem` (422)."""
    given: dict[str, Any] = {name: query.get(name) for name in _FIELDS}
    replaying = query.get("replaying")
    if replaying is not None and replaying not in _REPLAYING:
        raise wrong(f"replaying is yes or no, and not {replaying!r}.")
    return LetterFilter(
        numbers=query.numbers("number") or None,
        since=query.moment("since"),
        before=query.moment("until"),
        replaying=None if replaying is None else _REPLAYING[replaying],
        **given,
    )
