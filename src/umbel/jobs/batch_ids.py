"""Ids of what a job adds to batches: the same when the job runs again, so that a killed job adds nothing twice.

An id is made of the job's, the batch's, of what is added, and of how often this execution has added just that. Nothing
is made of what is encrypted at rest: an id would tell whoever guesses it. Such additions have new ids each time.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from typing import Any, Final

from kombu.utils.json import dumps

from umbel.ids import new_id

__all__ = ("batch_id", "job_here", "member_id")

_COUNTS: Final = "_umbel_batch_counts"


def job_here(app: Any) -> Any:
    """Return the request of the job that runs here; None outside of one."""
    task = app.current_worker_task
    request = task.request if task is not None else None
    return request if request is not None and request.id and not request.called_directly else None


def batch_id(request: Any, name: str) -> str:
    """Return the id of a batch that is opened here."""
    return new_id() if request is None else _derived(request, f"batch {name}")


def member_id(request: Any, batch: str, task: Any, name: str, args: Any, kwargs: Any, *, encrypts: bool) -> str:
    """Return the id of a job that is added to ``batch`` here."""
    if request is None or encrypts or getattr(task, "conceal", None) is not None:
        return new_id()
    try:
        said = dumps([name, args, kwargs], sort_keys=True)
    except (TypeError, ValueError):
        return new_id()
    return _derived(request, f"member {batch} {said}")


def _derived(request: Any, what: str) -> str:
    digest = hashlib.sha256(what.encode(errors="surrogatepass")).digest()
    owner, counts = request.__dict__.get(_COUNTS, (None, None))
    if owner != id(request):
        # A nested request begins as a copy of the outer one.
        counts = Counter()
        request.__dict__[_COUNTS] = (id(request), counts)
    number = counts[digest]
    counts[digest] += 1
    text = hashlib.sha256(f"{request.id} {number} ".encode() + digest).digest()
    return str(uuid.UUID(bytes=text[:16], version=5))
