"""Celery's AMQP object, so that what the tracer publishes at a job's end goes out with that end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery.app import amqp

from umbel.engine.execution import deferring

__all__ = ("AMQP",)


class AMQP(amqp.AMQP):
    """Creates and sends task messages."""

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Celery calls this for links and chains, after the body and before the result is stored.
        with deferring():
            return super()._retry_publish(publish, *args, **kwargs)
