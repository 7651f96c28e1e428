"""Waiting for a store that is away, at a job's end.

What follows a job (its retry, the next of its chain, its errback) is put together there, and Celery asks the store
on the way: whether a queue is declared, what is bound to an exchange. An error then would cost the job what follows
it. Nothing of its end can be written before the store is back, so waiting for that costs only the job's slot. So it is
with what a scheduler sends. Everywhere else an error is an error.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from umbel.engine.execution import is_patient
from umbel.errors import StoreError

__all__ = ("until_back",)

_PAUSE_SECONDS: Final = 0.25

T = TypeVar("T")


def until_back(ask: Callable[[], T]) -> T:
    """Return what ``ask`` returns; where one is patient, as soon as the store answers. Raises :exc:`StoreError`."""
    while True:
        try:
            return ask()
        except StoreError:
            if not is_patient():
                raise
            time.sleep(_PAUSE_SECONDS)
