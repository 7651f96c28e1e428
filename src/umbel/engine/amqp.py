"""Celery's AMQP object: what the tracer publishes at a job's end goes out with that end, and nothing shows a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu
from celery.app import amqp
from celery.utils.saferepr import saferepr

from umbel.engine.delivered import Fed
from umbel.engine.execution import deferring
from umbel.engine.outage import seldom
from umbel.engine.protection import HIDDEN, SENSITIVE, Protection, carries, complete

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

    def as_task_v2(
        self, task_id: str, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **given: Any
    ) -> Any:
        """Create a task message that shows what it is allowed to show."""
        protection: Protection = self.app.protection
        complete(self.app, protection)
        task = self.app._tasks.get(name)
        if getattr(task, "reveal", None) is not None:
            # What a job hands on of its own arguments.
            args, kwargs = task.reveal(args, kwargs)
        message = super().as_task_v2(task_id, name, args, kwargs, *rest, **given)
        if protection.is_on or protection.sensitive:
            self._conceal(message, getattr(task, "conceal", None), given)
        return message

    def _conceal(self, message: Any, conceal: Any, given: dict[str, Any]) -> None:
        """Have a message encrypted that holds what is sensitive, and let its texts for people say nothing of it."""
        args, kwargs, _ = message.body
        protection: Protection = self.app.protection
        if conceal is not None or carries(protection.sensitive, message.body):
            message.headers[SENSITIVE] = True
        if protection.encrypts or carries(protection.sensitive, (args, kwargs)):
            shown = {"argsrepr": HIDDEN, "kwargsrepr": HIDDEN}
        elif conceal is not None:
            args, kwargs = conceal(args, kwargs)
            shown = {
                "argsrepr": saferepr(args, self.argsrepr_maxsize),
                "kwargsrepr": saferepr(kwargs, self.kwargsrepr_maxsize),
            }
        else:
            return
        # What the sender has written for this is its own.
        shown = {name: text for name, text in shown.items() if given.get(name) is None}
        message.headers.update(shown)
        if message.sent_event:
            message.sent_event.update({name.removesuffix("repr"): text for name, text in shown.items()})

    def _retry_publish(self, publish: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Celery calls this for links and chains, after the body and before the result is stored.
        with deferring():
            return super()._retry_publish(publish, *args, **kwargs)
