"""Celery's AMQP object, so that what the tracer publishes at a job's end goes out with that end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu
from celery.app import amqp

from umbel.engine.delivered import Fed
from umbel.engine.execution import deferring
from umbel.engine.outage import seldom

__all__ = ("AMQP", "Connection")


class Connection(kombu.Connection):
    """Kombu's connection; a store that has gone away is asked every second whether it is back."""

    def ensure_connection(self, errback: Any = None, max_retries: Any = None, **options: Any) -> kombu.Connection:
        """Wait until the store answers. Kombu's own pauses grow to half a minute, which a worker would sleep on."""
        if issubclass(self.get_transport_cls(), Fed):
            options = {"interval_start": 0.25, "interval_step": 0.25, "interval_max": 1.0, **options}
            errback = errback and seldom(errback)
        connection: kombu.Connection = super().ensure_connection(errback, max_retries, **options)
        return connection


class AMQP(amqp.AMQP):
    """Creates and sends task messages."""

    Connection = Connection

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Celery calls this for links and chains, after the body and before the result is stored.
        with deferring():
            return super()._retry_publish(publish, *args, **kwargs)
