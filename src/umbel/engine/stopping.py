"""Whether this worker is to stop, for its prefork children too.

A child is forked long before and hears of nothing: it reads a page that it shares with its parent. Costs a page of
memory a process, and a look at a byte.
"""

from __future__ import annotations

import mmap
from typing import Any, Final

from celery import signals
from celery.worker import state as worker_state

__all__ = ("is_stopping",)

#: Shared with whoever is forked from here on.
_PAGE: Final = mmap.mmap(-1, 1)


def is_stopping() -> bool:
    """Whether the worker to which this process belongs takes no more jobs, and ends when those that run have."""
    return worker_state.should_stop is not None or worker_state.should_terminate is not None or _PAGE[0] != 0


def _note(**_: Any) -> None:
    _PAGE[0] = 1


signals.worker_shutting_down.connect(_note, weak=False)
