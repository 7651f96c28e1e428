"""Which jobs the address of a page means."""

from __future__ import annotations

from typing import Any, Final

from umbel.monitor.job_filter import JobFilter
from umbel.states import JobState
from umbel.web.pages.query import Query, wrong

__all__ = ("JOB_FILTERS", "TIMES", "jobs_meant")

#: Names in an address, with those of the filter's fields where these are others.
_FIELDS: Final = {
    "task": "task",
    "queue": "queue",
    "tag": "tag",
    "owner": "owner",
    "worker": "worker",
    "release": "release",
    "fingerprint": "fingerprint",
    "parent": "parent_id",
    "root": "root_id",
    "group": "group_id",
    "batch": "batch_id",
    "argument": "argument",
    "text": "text",
}
#: Those that may be told from now on backwards.
TIMES: Final = ("since", "until")
JOB_FILTERS: Final = ("id", "state", *_FIELDS, *TIMES)


def jobs_meant(query: Query) -> JobFilter:
    """Return the filter. Raises a :exc:`Problem` (422)."""
    given: dict[str, Any] = {field: query.get(name) for name, field in _FIELDS.items()}
    given |= {name: query.moment(name) for name in TIMES}
    return JobFilter(ids=query.all("id") or None, states=frozenset(map(_state, query.all("state"))), **given)


def _state(word: str) -> JobState:
    try:
        return JobState(word)
    except ValueError:
        raise wrong(f"There is no state {word!r}: {', '.join(JobState)} are the states.") from None
