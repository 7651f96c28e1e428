"""The short way from ``delay`` to the store, for dispatches without unusual options.

Celery's own way prepares for every broker and every option, which costs more than the write. What is plain is
put together here, to the same envelope; whatever is not (routes, signal receivers, eager mode, links, other
serializers, other brokers) goes Celery's way. A property test holds the two equal.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec
from celery import signals
from celery.app.task import Task as CeleryTask
from celery.utils.nodenames import anon_nodename
from kombu.utils.json import JSONEncoder

from umbel.engine import envelope
from umbel.engine.broker_errors import as_celery_says
from umbel.engine.collecting import sink
from umbel.engine.fairness import SHARE
from umbel.engine.form import Form, mark
from umbel.engine.headers import TAGS
from umbel.engine.plain_queues import PlainQueues
from umbel.engine.protection import HIDDEN, carries, complete
from umbel.engine.registry import engine_of, is_served
from umbel.engine.short_values import are_short, represented
from umbel.engine.store import Outgoing
from umbel.errors import PayloadTooLarge

if TYPE_CHECKING:
    from umbel.engine.store import Engine

__all__ = ("Dispatcher", "inherited_owner")

#: Options that the short way understands; any other one takes Celery's.
_PLAIN: Final = frozenset({"queue", "priority", "countdown", "headers", "ignore_result", SHARE})
#: What a task may not declare, if it is to go the short way.
_UNUSUAL: Final = ("routing_key", "exchange", "expires", "delivery_mode", "compression", "immediate", "mandatory")
#: Celery's settings that decide; a change of any is noticed by its value.
_DECISIVE: Final = (
    "broker_url",
    "task_always_eager",
    "task_routes",
    "task_protocol",
    "task_serializer",
    "task_compression",
    "task_send_sent_event",
    "task_default_queue",
    "task_queues",
    "task_inherit_parent_priority",
    "task_default_delivery_mode",
    "broker_write_url",
)
_BEFORE, _AFTER, _SENT = signals.before_task_publish, signals.after_task_publish, signals.task_sent
#: Names of other services' tasks that are remembered.
_NAMES_MOST: Final = 1000

#: Options with which a dispatch still is like others.
_USUAL: Final = frozenset({"queue", "priority", "ignore_result", SHARE})
_NO_CANVAS: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
#: Where such dispatches differ.
_PLACES: Final = ("body", "id", "argsrepr", "kwargsrepr", "reply_to", "tag", "share")
_FORMS_MOST: Final = 256

_body: Final = JSONEncoder().encode
_json: Final = msgspec.json.Encoder().encode
#: A body's end where there are no named arguments.
_NO_MORE: Final = f", {{}}, {_body(_NO_CANVAS)}]"


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """How a task's plain dispatches look; one is itself and no other, which is quicker to look up than what it says."""

    name: str
    queue: str
    priority: int
    timelimit: tuple[float | None, float | None]
    ignore_result: bool | None
    delivery_mode: int
    tags: tuple[str, ...] = ()


class Dispatcher:
    """Sends an application's plain dispatches."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._protection = app.protection
        self._decisive: tuple[Any, ...] = ()
        self._engine: Engine | None = None
        self._plans: dict[str, _Plan | None] = {}
        #: Of ``send_task``, by name.
        self._named: dict[str, _Plan | None] = {}
        self._forms: dict[tuple[Any, ...], Form] = {}
        self._queues = PlainQueues(app)
        self._origin = (0, "")

    def send(self, task: Any, args: Any, kwargs: Any, task_id: str, options: Mapping[str, Any]) -> bool:
        """Queue the job if it is plain; False if it must go Celery's way. Raises :exc:`PayloadTooLarge`."""
        plan = self._plan(task)
        return plan is not None and self._send(plan, args, kwargs, task_id, options)

    def send_named(self, name: str, args: Any, kwargs: Any, task_id: str, options: Mapping[str, Any]) -> bool:
        """Queue a job of the task ``name``, which may be another service's, if it is plain; False otherwise."""
        plan = self._named_plan(name)
        return plan is not None and self._send(plan, args, kwargs, task_id, options)

    def _send(self, plan: _Plan, args: Any, kwargs: Any, task_id: str, options: Mapping[str, Any]) -> bool:
        if not options.keys() <= _PLAIN:
            return False
        queue = options.get("queue") or plan.queue
        if not isinstance(queue, str) or not self._queues.serves(queue):
            return False
        if self._protection.sensitive and carries(self._protection.sensitive, (args, kwargs)):
            return False
        tracing = self._app.tracing
        if tracing is None:
            self._put(plan, args or (), kwargs or {}, task_id, queue, options)
        else:
            with tracing.sending(plan.name, task_id, queue, options) as options:
                self._put(plan, args or (), kwargs or {}, task_id, queue, options)
        return True

    def _put(self, plan: _Plan, args: Any, kwargs: Any, task_id: str, queue: str, options: Mapping[str, Any]) -> None:
        message = self._message(plan, args, kwargs, task_id, queue, options)
        collected = sink()
        if collected is not None:
            collected.append(message)
        else:
            assert self._engine is not None
            with as_celery_says():
                self._engine.enqueue((message,))

    # -- what is plain ----------------------------------------------------------------------------------------

    def _is_plain_app(self) -> bool:
        decisive = tuple(map(self._app.conf.changes.get, _DECISIVE))
        if decisive != self._decisive or not self._plans:
            self._look(decisive)
        return self._engine is not None and not (_BEFORE.receivers or _AFTER.receivers or _SENT.receivers)

    def _plan(self, task: Any) -> _Plan | None:
        if not self._is_plain_app():
            return None
        try:
            return self._plans[task.name]
        except KeyError:
            plan = self._plans[task.name] = self._plan_for(task)
            return plan

    def _named_plan(self, name: str) -> _Plan | None:
        if not self._is_plain_app():
            return None
        complete(self._app, self._protection)
        try:
            return self._named[name]
        except KeyError:
            task = self._app._tasks.get(name)
            plan = self._plan_of(name, {}) if task is None else self._plan_for(task)
            if plan is not None:
                # Celery's way sends what the caller says of the result, and nothing that the task declares.
                plan = replace(plan, ignore_result=None)
            if task is not None or len(self._named) < _NAMES_MOST:
                self._named[name] = plan
            return plan

    def _look(self, decisive: tuple[Any, ...]) -> None:
        conf = self._app.conf
        self._decisive = decisive
        self._plans = {"": None}
        self._named = {}
        self._forms = {}
        self._queues.clear()
        url = str(conf.broker_write_url or conf.broker_url)
        plain = (
            is_served(url)
            and not conf.task_always_eager
            and not conf.task_routes
            and conf.task_protocol == 2
            and conf.task_serializer == "json"
            and not conf.task_compression
            and not conf.task_send_sent_event
            and not conf.task_inherit_parent_priority
        )
        self._engine = engine_of(self._app, url) if plain else None

    def _plan_for(self, task: Any) -> _Plan | None:
        declared = task._get_exec_options()
        if (
            any(declared.get(name) is not None for name in _UNUSUAL)
            or declared.get("serializer") not in (None, "json")
            or task._dump_pydantic_arguments is not None
            or getattr(task, "conceal", None) is not None
            or type(task).shadow_name is not CeleryTask.shadow_name
            or (task.soft_time_limit and task.time_limit and task.soft_time_limit > task.time_limit)
        ):
            return None
        plan = self._plan_of(task.name, declared)
        own = getattr(task, "declared", None)
        tags = own.tags.words if own is not None and own.tags is not None else ()
        return replace(plan, ignore_result=bool(task.ignore_result), tags=tags)

    def _plan_of(self, name: str, declared: Mapping[str, Any]) -> _Plan:
        queue = declared.get("queue") or self._app.conf.task_default_queue
        return _Plan(
            name=name,
            queue=getattr(queue, "name", queue),
            priority=declared.get("priority") or 0,
            timelimit=(declared.get("time_limit"), declared.get("soft_time_limit")),
            ignore_result=None,
            delivery_mode=2,
        )

    # -- the message ------------------------------------------------------------------------------------------

    def _message(
        self, plan: _Plan, args: Any, kwargs: Any, task_id: str, queue: str, options: Mapping[str, Any]
    ) -> Outgoing:
        if not isinstance(args, (list, tuple)):
            raise TypeError("task args must be a list or tuple")
        if type(kwargs) is not dict and not isinstance(kwargs, Mapping):
            raise TypeError("task keyword arguments must be a mapping")
        priority = options.get("priority")
        priority = plan.priority if priority is None else priority
        if options.keys() <= _USUAL and self._app.current_worker_task is None and not self._protection.is_on:
            ignore_result, share = options.get("ignore_result"), options.get(SHARE)
            try:
                payload = self._filled(plan, args, kwargs, task_id, queue, priority, ignore_result, share)
            except (msgspec.EncodeError, OverflowError, TypeError, UnicodeError):
                # Celery's words for what is wrong with it come from its own encoder, below.
                pass
            else:
                return self._outgoing(plan, payload, task_id, queue, priority, about=(plan.name, None, 0, None))
        eta, due = self._eta(options.get("countdown"))
        headers = self._headers(plan, args, kwargs, task_id, eta, options.get("ignore_result"))
        extra = dict(options.get("headers") or {})
        if SHARE in options:
            extra[SHARE] = options[SHARE]
        if extra:
            headers.update(extra)
        body = _body([args, kwargs, _NO_CANVAS])
        tag = self._engine.new_tag() if self._engine is not None else 0
        properties = self._properties(plan, task_id, self._app.thread_oid, queue, priority, tag)
        payload = self._text(body, headers, properties, plain=not extra)
        return self._outgoing(plan, payload, task_id, queue, priority, due, once=envelope.is_once(headers))

    def _outgoing(
        self,
        plan: _Plan,
        payload: str,
        task_id: str,
        queue: str,
        priority: Any,
        due: float | None = None,
        *,
        once: bool = False,
        about: tuple[Any, ...] | None = None,
    ) -> Outgoing:
        limit = self._app.settings.max_payload_bytes
        if len(payload) > limit:
            raise PayloadTooLarge(plan.name, len(payload), limit)
        if type(priority) is not int or not 0 <= priority <= 9:
            priority = max(0, min(9, int(priority)))
        return Outgoing(queue, payload, task_id, priority, due, once, about)

    def _filled(
        self,
        plan: _Plan,
        args: Any,
        kwargs: Any,
        task_id: str,
        queue: str,
        priority: Any,
        ignore_result: Any,
        share: str | None,
    ) -> str:
        """Return the envelope of a dispatch that differs from others in its id and its arguments only."""
        key = (plan, queue, priority, ignore_result, share is None, os.getpid())
        form = self._forms.get(key)
        if form is None:
            form = self._form(plan, queue, priority, ignore_result, shared=share is not None)
            if len(self._forms) >= _FORMS_MOST:
                self._forms.clear()
            self._forms[key] = form
        tag = self._engine.new_tag() if self._engine is not None else 0
        if not kwargs and are_short(args):
            # As the encoder below says it, which costs eight times as much.
            body, argsrepr = f"[{_json(args).decode().replace(',', ', ')}{_NO_MORE}", repr(args)
            kwargsrepr = "{}"
        else:
            body, argsrepr = _body([args, kwargs, _NO_CANVAS]), represented(args)
            kwargsrepr = "{}" if not kwargs else represented(kwargs)
        return form.fill(
            (
                _json(body).decode(),
                _json(task_id).decode(),
                _json(argsrepr).decode(),
                _json(kwargsrepr).decode(),
                _json(self._app.thread_oid).decode(),
                _json(tag).decode(),
                _json(share).decode(),
            )
        )

    def _form(self, plan: _Plan, queue: str, priority: Any, ignore_result: Any, *, shared: bool) -> Form:
        body, task_id, argsrepr, kwargsrepr, reply_to, tag, share = map(mark, _PLACES)
        headers = self._headers(plan, (), {}, task_id, None, ignore_result)
        headers.update(argsrepr=argsrepr, kwargsrepr=kwargsrepr, **({SHARE: share} if shared else {}))
        properties = self._properties(plan, task_id, reply_to, queue, priority, tag)
        return Form(self._text(body, headers, properties, plain=True), _PLACES)

    @staticmethod
    def _properties(plan: _Plan, task_id: str, reply_to: str, queue: str, priority: Any, tag: Any) -> dict[str, Any]:
        return {
            "correlation_id": task_id,
            "reply_to": reply_to,
            "delivery_mode": plan.delivery_mode,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": priority,
            "body_encoding": "utf-8",
            "delivery_tag": tag,
        }

    def _text(self, body: str, headers: dict[str, Any], properties: dict[str, Any], *, plain: bool) -> str:
        message = {
            "body": body,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
        return envelope.encode(self._protection.apply(message), plain=plain)

    def _headers(
        self, plan: _Plan, args: Any, kwargs: Any, task_id: str, eta: str | None, ignore_result: Any
    ) -> dict[str, Any]:
        parent = self._app.current_worker_task
        hidden = HIDDEN if self._protection.encrypts else None
        root_id, parent_id = task_id, None
        if parent is not None:
            request = parent.request
            root_id, parent_id = request.root_id or request.id or task_id, request.id
        owner = inherited_owner(self._app)
        if self._origin[0] != os.getpid():
            self._origin = (os.getpid(), anon_nodename())
        return {
            "lang": "py",
            "task": plan.name,
            "id": task_id,
            "shadow": None,
            "eta": eta,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [*plan.timelimit],
            "root_id": root_id,
            "parent_id": parent_id,
            "argsrepr": hidden or represented(args),
            "kwargsrepr": hidden or ("{}" if not kwargs else represented(kwargs)),
            "origin": self._origin[1],
            "ignore_result": plan.ignore_result if ignore_result is None else ignore_result,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            **owner,
            **({TAGS: [*plan.tags]} if plan.tags else {}),
        }

    def _eta(self, countdown: Any) -> tuple[str | None, float | None]:
        if not countdown:
            return None, None
        moment = datetime.now(UTC) + timedelta(seconds=countdown)
        return moment.isoformat(), moment.timestamp()


def inherited_owner(app: Any) -> dict[str, str]:
    """Return as headers to whom a job belongs that is dispatched here: whoever owns the job that runs here."""
    parent = app.current_worker_task
    owner = getattr(parent.request, "umbel_owner", None) if parent is not None else None
    return {} if owner is None else {"umbel_owner": str(owner)}
