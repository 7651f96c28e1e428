"""What is declared is checked when the application is complete, in one message that names each place (C3)."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kombu.transport import TRANSPORT_ALIASES

from umbel.engine.redis_address import is_redis
from umbel.engine.registry import NO_STATE, is_rabbit, is_served, is_state
from umbel.errors import ConfigurationError
from umbel.jobs.rates import rule_of

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("check_app", "check_broker", "declared", "queues_of")


def declared(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a task, completed by what its signature says."""
    models = _models(function)
    if not models:
        return dict(options)
    options = {"pydantic": True, **options}
    if options["pydantic"]:
        strict, bound = bool(options.get("pydantic_strict")), bool(options.get("bind"))
        options["validate"] = staticmethod(_validator(function, models, strict=strict, bound=bound))
    return options


def _models(function: Callable[..., Any]) -> dict[str, Any]:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None:
        return {}
    try:
        hints = typing.get_type_hints(function)
    except Exception:
        return {}
    return {
        name: hint for name, hint in hints.items() if inspect.isclass(hint) and issubclass(hint, pydantic.BaseModel)
    }


def _validator(
    function: Callable[..., Any], models: dict[str, Any], *, strict: bool, bound: bool
) -> Callable[[Any, Any], None]:
    """Return what checks arguments before they are queued. It raises pydantic's ``ValidationError``."""
    signature = inspect.signature(function)

    def validate(args: Any, kwargs: Any) -> None:
        given = signature.bind_partial(*((None, *args) if bound else args), **kwargs).arguments
        for name, value in given.items():
            if name in models and not isinstance(value, models[name]):
                models[name].model_validate(value, strict=strict)

    return validate


def check_broker(url: str | None) -> None:
    """Raise :exc:`ConfigurationError` if no transport serves ``url``."""
    if is_redis(url):
        return
    scheme = str(url).split(";")[0].partition(":")[0]
    if url and scheme.partition("+")[0] not in TRANSPORT_ALIASES and not ("." in scheme and "://" in str(url)):
        near = difflib.get_close_matches(scheme, sorted(TRANSPORT_ALIASES), 1, 0.0)
        raise ConfigurationError(
            f"The broker URL begins with {scheme!r}, which nothing here understands (did you mean {near[0]}:?): "
            "write sqlite:////path/jobs.db, redis://host:6379/0 or amqp://host, or leave it out to use a file."
        )


def check_app(app: Umbel) -> None:
    """Raise :exc:`ConfigurationError` if anything declared cannot work; make the tasks' queues known otherwise."""
    problems = [
        *_state(app),
        *_protection(app),
        *_limits(app),
        *_rates(app),
        *_promises(app),
        *_webhooks(app),
        *_queues(app),
        *_routes(app),
        *_schedule(app),
    ]
    if problems:
        raise ConfigurationError(" ".join(problems))


def _state(app: Umbel) -> Iterator[str]:
    if is_rabbit(app.conf.broker_url) and not app.conf.broker_transport and not is_state(app.settings.state_url):
        yield NO_STATE


def _protection(app: Umbel) -> Iterator[str]:
    protection, url = app.protection, str(app.conf.broker_url)
    names = ", ".join(sorted(protection.sensitive))
    if not (protection.is_on or names):
        return
    who = f"UMBEL_PAYLOAD_PROTECTION={protection.mode}" if protection.is_on else f"Task {names} (sensitive arguments)"
    if not protection.keyring:
        yield f"{who} needs a key: put one into UMBEL_PAYLOAD_KEYS, of every client and worker; 'umbel key' makes one."
    elif (names or protection.encrypts) and importlib.util.find_spec("cryptography") is None:
        yield f"{who} needs the package cryptography: pip install 'umbel[crypto]'."
    if not is_served(url) and not url.startswith("memory:"):
        yield f"{who} is for the engines of Umbel: {url.partition(':')[0]}: is served by Celery's own transport."
    if app.conf.task_protocol != 2:
        yield f"{who} needs task_protocol 2: older messages have no headers that could be protected."
    results = str(app.conf.result_backend or "disabled")
    if protection.encrypts and not results.startswith(("umbel.", "disabled", "cache+memory")):
        yield (
            f"{who} does not reach the results in {results.partition(':')[0]}: leave out the result backend "
            "(they are kept beside the messages then), or write sign."
        )


def _own_tasks(app: Umbel) -> Iterator[tuple[str, Any]]:
    """Yield all but Celery's, and those of other applications of the process, which Celery gives to each."""
    for name, task in _tasks(app):
        if not getattr(task, "foreign", False):
            yield name, task


def _tasks(app: Umbel) -> Iterator[tuple[str, Any]]:
    for name in sorted(app._tasks):
        if not name.startswith("celery."):
            yield name, app._tasks[name]


def _limits(app: Umbel) -> Iterator[str]:
    for name, task in _own_tasks(app):
        soft, hard = task.soft_time_limit, task.time_limit
        if hard is None and soft is not None:
            hard = app.conf.task_time_limit
        if soft is not None and hard is not None and soft > hard:
            yield f"Task {name}: soft_time_limit {soft:g} s is above its hard limit {hard:g} s; raise its time_limit."


def _rates(app: Umbel) -> Iterator[str]:
    said = [(f"Task {name}", task.rate_limit) for name, task in _own_tasks(app)]
    said += [
        (f"Route {at!r}", one["rate_limit"])
        for at, one in _static_routes(app)
        if isinstance(one, dict) and "rate_limit" in one
    ]
    for place, rate in said:
        if rate:
            try:
                rule_of(rate)
            except ValueError as error:
                yield f"{place}: rate_limit {error}"


def _promises(app: Umbel) -> Iterator[str]:
    for _, task in _own_tasks(app):
        declared = getattr(task, "declared", None)
        for name in ("unique", "overlap", "limits", "breaker", "idempotent", "fair"):
            promise = getattr(declared, name, None)
            problem = promise.problem(task) if promise is not None else None
            if problem is not None:
                yield problem


def _webhooks(app: Umbel) -> Iterator[str]:
    told = [name for name, task in _own_tasks(app) if _has_webhook(task)]
    if told and not app.endings.webhooks.can_sign:
        yield (
            f"Task {', '.join(told)} has a webhook, and there is no secret to sign it with: set UMBEL_WEBHOOK_SECRET "
            "to whsec_ and 24 to 64 random bytes in base64, or name a function of the URL by @jobs.webhook_secrets."
        )


def _has_webhook(task: Any) -> bool:
    declared = getattr(task, "declared", None)
    return declared is not None and declared.webhook is not None


def queues_of(app: Umbel) -> dict[str, str]:
    """Return the queues that tasks and routes name, each with who names it."""
    named: dict[str, str] = {}
    for name, task in _tasks(app):
        queue = getattr(task, "queue", None)
        if queue is not None:
            named.setdefault(getattr(queue, "name", str(queue)), f"task {name}")
    for pattern, route in _static_routes(app):
        queue = route.get("queue") if isinstance(route, dict) else route
        if queue is not None:
            named.setdefault(getattr(queue, "name", str(queue)), f"route {pattern!r}")
    return named


def _static_routes(app: Umbel) -> Iterator[tuple[str, Any]]:
    routes = app.conf.task_routes or ()
    for table in routes if isinstance(routes, (list, tuple)) else [routes]:
        if isinstance(table, dict):
            for pattern, route in table.items():
                yield str(getattr(pattern, "pattern", pattern)), route


def _queues(app: Umbel) -> Iterator[str]:
    external = set(app.settings.external_queues)
    explicit = bool(app.conf.task_queues)
    for queue, place in queues_of(app).items():
        if queue in external or queue in app.amqp.queues.aliases or dict.__contains__(app.amqp.queues, queue):
            continue
        if explicit:
            yield (
                f"Queue {queue!r} ({place}) is not in task_queues, so nobody would consume it: "
                "add it there, or list it in external_queues."
            )
        else:
            app.amqp.queues.select_add(queue)


def _routes(app: Umbel) -> Iterator[str]:
    for pattern, _ in _static_routes(app):
        if any(char in pattern for char in "*?[("):
            continue
        if pattern not in app._tasks and pattern not in app.settings.external_tasks and _complete(app):
            yield (
                f"task_routes names {pattern!r}, which is no task of this application: correct it, or list it in "
                "external_tasks if another service runs it."
            )


def _schedule(app: Umbel) -> Iterator[str]:
    for entry, options in (app.conf.beat_schedule or {}).items():
        task = options.get("task") if isinstance(options, dict) else getattr(options, "task", None)
        if task and task not in app._tasks and task not in app.settings.external_tasks and _complete(app):
            yield (
                f"Schedule entry {entry!r} names {task!r}, which is no task of this application: correct it, "
                "or list it in external_tasks if another service runs it."
            )


def _complete(app: Umbel) -> bool:
    """Whether all task modules have been imported: what is loaded by name later is not missing yet."""
    return bool(app.loader.worker_initialized) or not (app.conf.include or app.conf.imports)
