"""The queues of plain dispatches: which ones are plain, and each declared once.

Celery's own way declares a queue with each message, as a part of the dispatch: it is tried again as the retry policy
says, and fails as the dispatch does.
"""

from __future__ import annotations

from typing import Any, Final

from umbel.engine.collecting import offline_producer

__all__ = ("PlainQueues",)

_CELERY_QUEUE_TYPE: Final = "direct"


class PlainQueues:
    """An application's queues, as far as something has been dispatched to them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._known: dict[str, bool] = {}

    def clear(self) -> None:
        """Forget what is known: the application's settings are others now."""
        self._known.clear()

    def serves(self, name: str) -> bool:
        """Whether a message to queue ``name`` is put into it and nothing else; it has been declared then.

        Raises :exc:`kombu.exceptions.OperationalError`.
        """
        known = self._known.get(name)
        if known is None:
            queue = self._app.amqp.queues[name]
            known = _is_plain(queue, name)
            if known and offline_producer() is not None:
                # Whoever publishes the message later declares its queue.
                return True
            if known:
                self._declare(queue)
            self._known[name] = known
        return known

    def _declare(self, queue: Any) -> None:
        conf = self._app.conf
        with self._app.connection_for_write() as connection, connection._reraise_as_library_errors():
            producer = self._app.amqp.Producer(connection, auto_declare=False)

            def declare() -> None:
                queue(producer.channel).declare()

            if conf.task_publish_retry:
                # Of connecting as well, as where Kombu publishes.
                connection.transport_options.update(conf.task_publish_retry_policy)
                declare = connection.ensure(producer, declare, **conf.task_publish_retry_policy)
            declare()


def _is_plain(queue: Any, name: str) -> bool:
    exchange = queue.exchange
    return (
        getattr(exchange, "type", None) == _CELERY_QUEUE_TYPE
        and queue.name == name
        and exchange.delivery_mode in (None, 2)
    )
