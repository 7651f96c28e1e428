"""Celery's consumer, attached to an engine: the lease, the fetch thread, the settle thread.

What Celery would drop (an undecodable message, an unknown task, one that is not protected as it should be) becomes a
dead letter here. On another broker than Umbel's own engines it is Celery's consumer unchanged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any
from weakref import WeakSet

from celery.concurrency.prefork import TaskPool as Prefork
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.utils.collections import AttributeDict
from celery.utils.imports import symbol_by_name
from celery.worker import consumer as celery_consumer
from celery.worker import state
from kombu.exceptions import ContentDisallowed, DecodeError

from umbel.engine import garbage, remote_control
from umbel.engine.admission import Admission
from umbel.engine.aside import Aside
from umbel.engine.channel import Transport
from umbel.engine.delivered import Fed
from umbel.engine.ends import drain, tell_refused
from umbel.engine.envelope import due_at
from umbel.engine.execution import Execution, owned_by
from umbel.engine.fetcher import Fetcher
from umbel.engine.flusher import Flusher
from umbel.engine.headers import PROGRESS
from umbel.engine.outage import Outage
from umbel.engine.pool import TaskPool
from umbel.engine.protection import HIDDEN, refusal_of
from umbel.engine.registry import is_served
from umbel.engine.request import Request
from umbel.engine.results import end_in_chord
from umbel.engine.starter import Starter
from umbel.engine.store import Delivery, Engine, Outgoing, Settled
from umbel.errors import PayloadRefused, StoreError

__all__ = ("Consumer",)

assert remote_control  # registers its commands

logger = logging.getLogger(__name__)


class Consumer(celery_consumer.Consumer):
    """Feeds Celery's strategies from an engine."""

    _flusher: Flusher | None = None
    _engine: Engine | None = None
    _admission: Admission
    _starter: Starter
    #: The token of this process's lease, once it has one.
    lease_token: str | None = None

    @cached_property
    def _outage(self) -> Outage:
        return Outage("Cannot fetch", "Jobs are fetched again")

    def connect(self) -> Any:
        """Connect, and begin to fetch for this process."""
        connection = super().connect()
        if issubclass(type(connection.transport), Fed) and self.hub is not None:
            self._attach(connection.transport)
        return connection

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Wait a little for a store that went away while this process began to fetch: Celery begins again at once."""
        if self._engine is None:
            super().on_connection_error_before_connected(exc)
        else:
            time.sleep(self._outage.pause(exc))

    def _attach(self, transport: Transport) -> None:
        queues = list(self.app.amqp.queues.consume_from)
        engine = self._engine = transport.engine
        if self._flusher is None:
            # Before anything is fetched: a job that holds the interpreter is ended by whoever knows the lease.
            self._tell_lease(engine.open_lease(self.hostname, queues, self._slots()))
            engine.on_lease = self._take_lease
            engine.events.introduce(self.hostname, engine.release)
            engine.reap()
            self._flusher = Flusher(engine)
            self._flusher.discreet = self.app.protection.encrypts
            self._flusher.in_process = isinstance(self.pool, TaskPool)
            self._flusher.on_chord = getattr(self.app.backend, "complete_chord", None)
            garbage.settle_down()
        settings = self.app.settings
        fetcher = Fetcher(
            engine,
            self._flusher,
            slots=self._slots,
            suspects=settings.suspects,
            in_process=isinstance(self.pool, TaskPool),
            outage=self._outage,
        )
        fetcher.weigh({name: settings.queue_weights.get(name, 0) for name in queues})
        fetcher.on_cancelled = self._stop_cancelled
        fetcher.on_sweep = Aside("Batches", self.app.sweep_batches)
        fetcher.surrender = getattr(self.pool, "surrender", None)
        if (
            isinstance(self.pool, TaskPool)
            and self.controller.max_tasks_per_child
            and os.environ.get("UMBEL_SUPERVISED")
        ):
            most, pool = int(self.controller.max_tasks_per_child), self.pool
            fetcher.allowance = lambda: most - pool.completed
        self._admission = Admission(self.app, fetcher, transport.peek)
        # A new one: what was found out of plain tasks settles over the connection that was lost.
        self._starter = Starter(self, transport, self._admission)
        fetcher.start_plain = self._starter.start
        if isinstance(self.pool, TaskPool):
            self.pool.on_look = fetcher.look_after
        fetcher.start(self.hub, lambda delivery: self._deliver(transport, delivery), transport.touch)
        transport.attach(fetcher)

    def _tell_lease(self, token: str | None) -> None:
        """Note this process's lease, None for none any more, and let the worker's ``on_lease`` hear of it."""
        self.lease_token = token
        on_lease = getattr(self.controller, "on_lease", None)
        if on_lease is not None:
            on_lease(token)

    def _take_lease(self, token: str) -> None:
        """What waits here for a slot is no longer ours; what runs ends, and its end is refused."""
        self._tell_lease(token)
        surrender = getattr(self.pool, "surrender", None)
        if surrender is not None:
            surrender()

    def create_task_handler(self, promise: Any = None) -> Any:
        """Return the function that hands a message to its task's strategy."""
        if self._flusher is None:
            return super().create_task_handler()
        strategies, callbacks = self.strategies, self.on_task_message
        general = super().create_task_handler()
        protection = self.app.protection

        def on_task_received(message: Any) -> None:
            if protection.refuses(getattr(message, "secured", "")):
                self.on_decode_error(message, refusal_of(message.headers or {}))
                return
            # Our requests settle themselves. One of Celery's own (a task class that names another Request)
            # acknowledges through these, from whichever thread: no promise is needed to reach the loop first.
            strategy = strategies.get(message.headers.get("task")) if message.delivery is not None else None
            if strategy is None:
                general(message)
                return
            try:
                strategy(message, None, message.ack_log_error, message.reject_log_error, callbacks)
            except InvalidTaskError as error:
                self.on_invalid_task(None, message, error)
            except (ContentDisallowed, DecodeError) as error:
                self.on_decode_error(message, error)
            except (ValueError, TypeError, LookupError, AttributeError) as error:
                # A body that is no job's; what has become a request is its own to end.
                if message.headers.get("id") in state.requests:
                    raise
                self.on_invalid_task(None, message, error)

        return on_task_received

    def _slots(self) -> int:
        return int(getattr(self.pool, "num_processes", None) or self.pool.limit or 1)

    def _deliver(self, transport: Transport, delivery: Delivery) -> None:
        if delivery.cancelled and delivery.task_id is not None:
            state.revoked.add(delivery.task_id)
        raw = transport.open(delivery)
        if raw is None:
            return
        if "umbel_refused" in raw:
            transport.deliver(delivery, raw)
            return
        if not delivery.enqueued and self._put_off(delivery, raw):
            return
        self._admission.mark(delivery, raw["headers"])
        if delivery.suspect:
            self._recall(delivery, raw["headers"])
        name = raw["headers"].get("task")
        if delivery.verdict is not None and name in self.app.tasks:
            self._fail(transport, raw, self.app.tasks[name], delivery.verdict)
            return
        transport.deliver(delivery, raw)

    def _recall(self, delivery: Delivery, headers: dict[str, Any]) -> None:
        """Let a job that had begun when its process ended know how far it was."""
        recall = getattr(self.app.backend, "progress_of", None)
        if recall is not None and delivery.task_id is not None:
            with contextlib.suppress(StoreError, PayloadRefused, ValueError):
                told = recall(delivery.task_id)
                if told is not None:
                    headers[PROGRESS] = told

    def _put_off(self, delivery: Delivery, raw: dict[str, Any]) -> bool:
        """Let what a plain client sent for later wait at the store, whose clock says when it is due."""
        due = due_at(raw["headers"].get("eta"))
        if due is None or delivery.verdict is not None or delivery.cancelled:
            return False
        later = Outgoing(delivery.queue, delivery.payload, raw["headers"].get("id"), 9 - delivery.rank, due)
        assert self._flusher is not None
        self._flusher.submit(Settled(delivery.seq, "ack", outgoing=[later]))
        self.connection.transport.fetcher.finished()
        return True

    def _fail(self, transport: Transport, raw: dict[str, Any], task: Any, verdict: str) -> None:
        message = transport.channels[0].Message(raw, channel=transport.channels[0])
        request_class = symbol_by_name(task.Request)
        request = request_class(
            message, app=self.app, hostname=self.hostname, eventer=self.event_dispatcher, task=task, utc=True
        )
        request.fail(verdict)

    def reset_rate_limits(self) -> None:
        """Rate limits have changed: what is limited, and what is plain, is found out anew."""
        if self._engine is not None:
            self._starter.renew()
            self._admission.renew()
        super().reset_rate_limits()

    def bucket_for_task(self, type: Any) -> Any:
        """Return None: limits are kept at the store, for the whole fleet. On another broker, what Celery does."""
        return None if is_served(self.app.conf.broker_url) else super().bucket_for_task(type)

    def _stop_cancelled(self, task_ids: Sequence[str]) -> None:
        def stop() -> None:
            for task_id in task_ids:
                state.revoked.add(task_id)
                request = state.requests.get(task_id)
                if request is not None and not request.acknowledged:
                    request.terminate(self.pool)

        self.hub.call_soon(stop)

    def on_close(self) -> None:
        """The connection was lost: give back what waits here and is forgotten now, by Celery or by the pool.

        What the pool keeps settles without the connection. It stays known, for a cancel that comes later.
        """
        begun = set(_members(state.active_requests))
        waiting = {*state.scheduled_requests, *(item for item in self._in_buckets() if isinstance(item, Request))}
        given = {one for one in _members(state.reserved_requests) if _is_ours(one)} - waiting
        # Celery forgets what it finds there.
        state.reserved_requests.difference_update(given)
        super().on_close()
        if isinstance(self.pool, Prefork):
            # It drops what no child has begun.
            waiting |= given
        state.reserved_requests.update(one for one in given if not one.acknowledged)
        for request in waiting - begun:
            request.interrupt()

    def _in_buckets(self) -> Iterator[Any]:
        for bucket in self.task_buckets.values():
            for item in list(bucket.contents) if bucket else ():
                yield item[0] if isinstance(item, tuple) else item

    def shutdown(self) -> None:
        """Settle what has ended, give back what has not, and end the lease."""
        if self._flusher is not None:
            drain(10.0)
            self._flusher.drain(10.0)
        super().shutdown()
        if self._flusher is not None:
            self._flusher.stop()
        if self._engine is not None:
            self._engine.close_lease()
            self._tell_lease(None)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A message that cannot be decoded, or is refused: log it as Celery does, and keep it as a dead letter."""
        if self._flusher is None:
            super().on_decode_error(message, exc)
            return
        what = "was refused" if isinstance(exc, PayloadRefused) else "cannot be decoded"
        logger.critical(
            "A message of %s %s (%s) and became a dead letter.",
            (message.delivery_info or {}).get("routing_key"),
            what,
            exc,
        )
        with self._failing(message, f"{what.removeprefix('was ')}: {exc}", exc):
            message.reject()
            self._mark_as_failure(message, exc)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that this worker does not know: fail it, and keep its message as a dead letter."""
        headers = message.headers or {}
        reason = f"unknown task {exc}: this worker has not imported it"
        with (
            owned_by(headers.get("umbel_owner")),
            self._failing(message, reason, NotRegistered(str(headers.get("task")))),
        ):
            super().on_unknown_task(_shown(body, message), message, exc)
            end_in_chord(self.app.backend, headers, NotRegistered(str(headers.get("task"))))

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """A message that is no task."""
        with self._failing(message, "not a task message", InvalidTaskError("not a task message")):
            super().on_unknown_message(_shown(body, message), message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task message that makes no sense: fail it, and keep it as a dead letter."""
        with self._failing(message, f"invalid task message: {exc}", exc):
            super().on_invalid_task(_shown(body, message), message, exc)
            if self._flusher is not None:
                self._mark_as_failure(message, exc)

    @contextlib.contextmanager
    def _failing(self, message: Any, reason: str, error: Exception) -> Iterator[None]:
        """Gather what becomes of a message that cannot run: its state, its dead letter and its end are one step."""
        delivery = getattr(message, "delivery", None)
        if self._flusher is None or delivery is None:
            yield
            return
        qos, flusher = message.channel.qos, self._flusher
        execution = Execution(delivery, flusher, message.headers or {})
        rejected: list[Delivery] = []
        qos.on_reject = rejected.append
        try:
            with execution.current():
                yield
        finally:
            qos.on_reject = None
            if rejected:
                execution.bury(error, reason=reason)
                with execution.current():
                    tell_refused(self.app, message.headers or {}, error, lambda: execution.settle("ack"))
                message.channel.release_slot()

    def _mark_as_failure(self, message: Any, exc: Exception) -> None:
        headers = message.headers or {}
        if headers.get("id"):
            request = AttributeDict(
                chord=None,
                errbacks=None,
                group=None,
                parent_id=None,
                task=headers.get("task"),
                umbel_owner=headers.get("umbel_owner"),
            )
            self.app.backend.mark_as_failure(headers["id"], exc, request=request)
            end_in_chord(self.app.backend, headers, exc)


def _shown(body: Any, message: Any) -> Any:
    """Return what may be logged of a body: nothing of one that was encrypted."""
    return HIDDEN if getattr(message, "secured", "") == "encrypt" else body


def _is_ours(request: Any) -> bool:
    return isinstance(request, Request) and request.execution is not None


def _members(requests: WeakSet[Any]) -> list[Any]:
    # The threads of the pool add to it and take from it, which an iteration of its own does not bear.
    return [request for found in list(requests.data) if (request := found()) is not None]  # type: ignore[attr-defined]
