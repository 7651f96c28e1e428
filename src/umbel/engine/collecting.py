"""Where what is published goes: to the store at once, or to whoever collects it and queues it later.

It stands on context variables, so it follows a job through threads' contexts, greenlets and gathered children.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar, Token
from typing import Any, Final

from umbel.engine.store import Outgoing

__all__ = ("offline", "offline_producer", "publishing_into", "sink")

_sink: Final[ContextVar[list[Outgoing] | None]] = ContextVar("umbel_sink", default=None)
_offline: Final[ContextVar[Callable[[], Any] | None]] = ContextVar("umbel_offline", default=None)


class publishing_into:
    """Collects what is published in this context instead of sending it."""

    __slots__ = ("_sink", "_token")

    # Written out, because each of many jobs has one: a generator would take three times as long.
    def __init__(self, sink: list[Outgoing]) -> None:
        self._sink: Final = sink

    def __enter__(self) -> None:
        self._token: Token[list[Outgoing] | None] = _sink.set(self._sink)

    def __exit__(self, *_: object) -> None:
        _sink.reset(self._token)


@contextlib.contextmanager
def offline(sink: list[Outgoing], producer: Callable[[], Any]) -> Iterator[None]:
    """Collect what is published in this context, and ask no broker for it: whoever publishes it later does.

    ``producer`` returns what Celery's own way publishes with (:mod:`umbel.engine.offline`).
    """
    token = _offline.set(producer)
    try:
        with publishing_into(sink):
            yield
    finally:
        _offline.reset(token)


def offline_producer() -> Callable[[], Any] | None:
    """Return what makes a producer that reaches no broker; None where the broker may be asked."""
    return _offline.get()


def sink() -> list[Outgoing] | None:
    """Return where publishing goes in this context; None for the store itself."""
    return _sink.get()
