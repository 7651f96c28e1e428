"""The next try of a running job: one message, sent with the end of this one.

It has the job's id, its arguments, headers, links and priority, and waits in the store. The worker settles it in the
same step as this try's end (C18), so that a kill leaves both or neither.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any, Final

from celery.exceptions import Reject, Retry
from kombu.exceptions import OperationalError

from umbel.engine.envelope import due_at
from umbel.engine.execution import current_execution, deferring
from umbel.engine.failures import failing
from umbel.engine.headers import FIRST

__all__ = ("EAGER_MOST", "again", "first_due", "note_ordered", "times_put_off")

#: So often a job may put itself off where nothing is waited for.
EAGER_MOST: Final = 50

_PUT_OFF: Final = "umbel_put_off"
_ORDERED: Final = "_umbel_ordered"
#: Where a queue does not say when it took a message, it says about nothing.
_LONG_AGO: Final = 1.0


def again(task: Any, error: Exception, delay: timedelta, *, uses_attempt: bool = True) -> BaseException:
    """Order another try after ``delay``, and return what is to be raised for it: Celery's ``Retry``, or ``Reject``.

    ``error`` is why. Without ``uses_attempt`` the number of retries stays what it is.
    """
    request = task.request
    seconds = delay.total_seconds()
    if _has_ordered(request):
        # The body has, by ``self.retry(throw=False)``: one message is enough.
        return _because(error, Retry(exc=error, when=seconds))
    with failing(error):
        signature = task.signature_from_request(
            request,
            countdown=seconds,
            retries=request.retries + 1 if uses_attempt else request.retries,
            headers=_headers(request, put_off=not uses_attempt),
        )
    if request.is_eager:
        # Celery counts on for what runs again here.
        sig = signature if uses_attempt else _Uncounted(signature)
        return _because(error, Retry(exc=error, when=seconds, is_eager=True, sig=sig))
    try:
        with deferring():
            signature.apply_async()
    except Exception as failure:
        # Celery drops a job whose retry could not be sent. It runs again instead.
        return _because(error, Reject(failure, requeue=isinstance(failure, OperationalError)))
    note_ordered(request)
    return _because(error, Retry(exc=error, when=seconds, sig=signature))


def first_due(request: Any) -> float:
    """Return when the job was dispatched, or due if that was later, in unix seconds, however often it has run."""
    known = (request.headers or {}).get(FIRST)
    if isinstance(known, (int, float)):
        return float(known)
    execution = current_execution.get()
    if execution is not None and execution.delivery.task_id == request.id:
        enqueued: Any = execution.delivery.enqueued
    else:
        enqueued = (request.properties or {}).get("umbel_since")
    since = float(enqueued) if isinstance(enqueued, (int, float)) and enqueued > _LONG_AGO else time.time()
    return max(since, due_at(request.eta) or 0.0)


def times_put_off(request: Any) -> int:
    """Return how often the job has put itself off."""
    count = (request.headers or {}).get(_PUT_OFF)
    return count if isinstance(count, int) else 0


def note_ordered(request: Any) -> None:
    """Remember that this try has ordered the next one."""
    request.__dict__[_ORDERED] = id(request)


def _headers(request: Any, *, put_off: bool) -> dict[str, Any]:
    headers = {**(request.headers or {}), FIRST: first_due(request)}
    if put_off:
        headers[_PUT_OFF] = times_put_off(request) + 1
    return headers


def _because(error: Exception, raised: BaseException) -> BaseException:
    raised.__cause__ = error
    return raised


def _has_ordered(request: Any) -> bool:
    # A nested request begins as a copy of the outer one.
    return bool(request.__dict__.get(_ORDERED) == id(request))


class _Uncounted:
    """A signature that runs here as the same try again."""

    def __init__(self, signature: Any) -> None:
        self._signature = signature

    def apply(self, *args: Any, retries: int = 1, **options: Any) -> Any:
        return self._signature.apply(*args, retries=retries - 1, **options)
