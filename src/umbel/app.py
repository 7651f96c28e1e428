"""``Umbel``: a Celery application with everything plugged in."""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from collections.abc import Callable, Coroutine
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, overload

from celery import Celery, signals
from kombu.transport import TRANSPORT_ALIASES

from umbel import checks
from umbel.batching import WithBatches
from umbel.database import WithDatabase
from umbel.effects import WithEffects
from umbel.endings import WithEndings
from umbel.engine.collecting import offline_producer
from umbel.engine.dispatch import Dispatcher, inherited_owner
from umbel.engine.protection import Protection
from umbel.engine.registry import address_of, engine_of, is_rabbit, is_redis, is_served, options_of
from umbel.errors import ConfigurationError
from umbel.ids import new_id
from umbel.ineffective import ineffective_settings
from umbel.jobs.breaker import Breaker, BreakerBlock
from umbel.jobs.declared import take
from umbel.jobs.endings import Endings
from umbel.jobs.locks import Lock, LockKeeper
from umbel.jobs.tags import tagged, tags_header, tags_of
from umbel.jobs.webhooks import Webhooks
from umbel.limiting import WithLimits
from umbel.oversight import WithOversight
from umbel.serving import WithWeb
from umbel.settings import Settings, data_directory
from umbel.task import Task
from umbel.task_class import concealing, fit, fitting_base, fitting_body, never_retried, places_of, unshadowed

if TYPE_CHECKING:
    from umbel.engine.store import Engine

__all__ = ("Umbel",)

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

# Kombu's table of transports, so that sqlite: URLs work wherever Celery takes one.
TRANSPORT_ALIASES.setdefault("sqlite", "umbel.engine.channel:Transport")
# Names that a connection shows as its scheme; amqp: stays Kombu's own.
TRANSPORT_ALIASES.setdefault("rabbitmq", "umbel.engine.rabbit_channel:RabbitTransport")
TRANSPORT_ALIASES.setdefault("rabbitmqs", "umbel.engine.rabbit_channel:RabbitSSLTransport")

_BACKEND: Final = "umbel.engine.results:EngineBackend"
_REDIS_TRANSPORT: Final = "umbel.engine.redis_channel:RedisTransport"
#: Brokers that keep results too, when nothing else is named.
_KEEPS_RESULTS: Final = ("redis", "sentinel:")
_POOLS: Final = {"default": "umbel.engine.pool:TaskPool"}
#: Queues that outlive the loss of a node, wherever Celery makes one.
_RABBIT_DEFAULTS: Final = {"task_default_queue_type": "quorum", "task_create_missing_queue_type": "quorum"}
#: Options that Celery wants in ``task_routes``; on the decorator they are set once the task is bound.
_ROUTING: Final = ("queue", "exchange", "exchange_type", "routing_key", "delivery_mode", "priority")


class Umbel(WithBatches, WithEffects, WithDatabase, WithEndings, WithLimits, WithOversight, WithWeb, Celery):
    """A Celery application that needs nothing but a name.

        from umbel import Umbel

        jobs = Umbel("shop")

        @jobs.task
        async def greet(name: str) -> str:
            return f"Hello {name}"

    Without ``broker`` and ``UMBEL_BROKER_URL`` messages and results are kept in ``.umbel/umbel.db`` beside the
    nearest ``pyproject.toml``. Every argument, setting and idiom of :class:`celery.Celery` works.
    Raises :exc:`ConfigurationError` when a setting is wrong.
    """

    task_cls = "umbel.task:Task"
    amqp_cls = "umbel.engine.amqp:AMQP"
    log_cls = "umbel.engine.job_output:Logging"

    def __init__(
        self,
        main: str | None = None,
        *,
        settings: Settings | None = None,
        broker: str | None = None,
        backend: Any = None,
        **kwargs: Any,
    ) -> None:
        self.settings: Final = settings or Settings.load()
        #: How messages and results are protected at rest.
        self.protection: Final = Protection.of(self.settings)
        #: What tells the tasks that are declared here from other applications'.
        self._home: Final = object()
        self._wrapped: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._broker_given = broker or self.settings.broker_url
        checks.check_broker(self._broker_given)
        super().__init__(main, broker=broker, backend=backend or self.settings.result_backend, **kwargs)
        self.add_defaults(self._defaults)
        self.endings = Endings(Webhooks(self, self.settings))
        if self.settings.traces:
            self.trace()

    # -- what is plugged in -----------------------------------------------------------------------------------

    def _defaults(self) -> dict[str, Any]:
        settings = self.settings
        url = self._broker_given or f"sqlite:///{self.store_path}"
        return {
            "broker_url": url,
            "broker_connection_retry_on_startup": True,
            # Workers wait for a store that has gone away, however long, and go on by themselves.
            "broker_connection_max_retries": None,
            "result_backend": f"{_BACKEND}+{url}"
            if is_served(url)
            else url
            if url.startswith(_KEEPS_RESULTS)
            else None,
            "result_backend_thread_safe": True,
            "result_expires": settings.result_expires,
            "task_serializer": "json",
            "result_serializer": "json",
            "accept_content": ["json"],
            "timezone": "UTC",
            "enable_utc": True,
            "task_acks_late": True,
            "task_reject_on_worker_lost": True,
            "task_track_started": True,
            "task_time_limit": settings.time_limit.total_seconds(),
            "task_soft_time_limit": settings.soft_time_limit.total_seconds(),
            "worker_pool": _POOLS.get(settings.pool, settings.pool),
            "worker_consumer": "umbel.engine.consumer:Consumer",
            "worker_concurrency": settings.concurrency,
            "worker_prefetch_multiplier": 1,
            "worker_max_tasks_per_child": settings.max_tasks_per_child,
            "worker_max_memory_per_child": settings.max_memory_per_child,
            "worker_cancel_long_running_tasks_on_connection_loss": False,
            "beat_scheduler": "umbel.schedule.beat:LeaderScheduler",
            **(_RABBIT_DEFAULTS if is_rabbit(url) else {}),
        }

    def _connection(self, url: Any, **kwargs: Any) -> Any:
        if not is_served(url):
            return super()._connection(url, **kwargs)
        # Beside the application's own options, which replace each other as a whole.
        ours = {
            **options_of(self),
            "max_payload_bytes": self.settings.max_payload_bytes,
            "protection": self.protection,
        }
        options = {**kwargs, "transport_options": {**ours, **(kwargs.get("transport_options") or {})}}
        if is_redis(url) and not (options.get("transport") or self.conf.broker_transport):
            # Kombu would take the part of the scheme before a plus for the transport.
            url, options["transport"] = address_of(self, url, **kwargs), _REDIS_TRANSPORT
        if is_rabbit(url) and not (options.get("transport") or self.conf.broker_transport):
            options["transport_options"]["url"] = str(url)
            options["transport"] = "rabbitmqs" if str(url).partition(":")[0].endswith("s") else "rabbitmq"
        return super()._connection(url, **options)

    @property
    def store_path(self) -> Path:
        """The file of the embedded engine when no broker is named."""
        return data_directory(self.settings) / "umbel.db"

    @property
    def engine(self) -> Engine:
        """The engine behind the broker URL. Raises :exc:`ConfigurationError` when it is not one of Umbel's."""
        url = str(self.conf.broker_url)
        if not is_served(url):
            raise ConfigurationError(
                f"{url.partition(':')[0]}: is served by Celery's own transport, which cannot tell where a job is: "
                "this needs an engine of Umbel's (a sqlite: or redis: URL, or no UMBEL_BROKER_URL at all)."
            )
        return engine_of(self)

    @cached_property
    def dispatcher(self) -> Dispatcher:
        """Sends plain dispatches the short way."""
        return Dispatcher(self)

    @cached_property
    def AsyncResult(self) -> Any:
        """Celery's result class, with a deadline."""
        return self.subclass_with_self("umbel.result:AsyncResult")

    @cached_property
    def ResultSet(self) -> Any:
        """Celery's result set, with a deadline."""
        return self.subclass_with_self("umbel.result:ResultSet")

    @cached_property
    def GroupResult(self) -> Any:
        """Celery's group result, with a deadline."""
        return self.subclass_with_self("umbel.result:GroupResult")

    # -- declaring tasks --------------------------------------------------------------------------------------

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R]: ...
    @overload
    def task(self, /, **options: Any) -> Callable[[Callable[..., Any]], Task[..., Any]]: ...
    def task(self, *args: Any, **options: Any) -> Any:  # type: ignore[misc]
        """Declare a task, with Celery's options. The function may be ``def`` or ``async def``."""
        # Celery gives it to every other application of the process as well.
        return super().task(*args, declared_in=self._home, **options)

    def _task_from_fun(
        self, fun: Callable[..., Any], name: str | None = None, base: Any = None, bind: bool = False, **options: Any
    ) -> Any:
        routing = {key: options.pop(key) for key in _ROUTING if options.get(key) is not None}
        full_name = name or self.gen_task_name(fun.__name__, fun.__module__)
        known = full_name in self._tasks
        foreign = options.pop("declared_in", self._home) is not self._home
        base = base or self.Task
        declared = take(options, f"Task {full_name}", base)
        options = checks.declared(fun, {**options, "bind": bind})
        options.pop("bind")
        is_async = inspect.iscoroutinefunction(fun)
        options.update(is_async=is_async, bind_self=bind, declared=declared, foreign=foreign, **never_retried(options))
        options.update(unshadowed(base), **(declared.for_celery() if declared is not None else {}))
        options.update(places_of(declared, fun, full_name, bound=bind))
        base = concealing(fitting_base(base, is_async=is_async), declared)
        # The same function keeps its wrapper: Celery knows a task that is declared twice by its callable.
        wrapped = self._wrapped.setdefault(fun, fitting_body(fun))
        task = super()._task_from_fun(wrapped, name, base, bind, **options)
        if not known:
            for key, value in routing.items():
                setattr(type(task), key, value)
            type(task)._exec_options = None
            self._complete(task)
        return task

    def register_task(self, task: Any, **options: Any) -> Any:
        """Register a task that is written as a class with ``run``, ``def`` or ``async def``."""
        task = super().register_task(fit(task, options), **{**options, **never_retried(options)})
        self._complete(task)
        return task

    def _complete(self, task: Any) -> None:
        self._put_around(task)
        if task.declared is not None and task.declared.sensitive is not None:
            self.protection.sensitive.add(task.name)

    def finalize(self, auto: bool = False) -> None:
        """Complete the application. Raises :exc:`ConfigurationError` if anything declared cannot work."""
        complete = self.finalized
        super().finalize(auto)
        if not complete:
            checks.check_app(self)

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, *rest: Any, **options: Any) -> Any:
        """Queue a job by its name, with Celery's options; inside a job it belongs to that job's owner.

        ``webhook_url``: who is told how it ends. ``tags``: words by which it is found.
        """
        options = self.endings.webhooks.addressed(name, options)
        if "tags" in options:
            options = tagged(self._tasks.get(name), options, name)
        if not rest:
            known = options.get("task_id") or new_id()
            plain = {key: value for key, value in options.items() if key != "task_id"}
            if self.dispatcher.send_named(name, args, kwargs, known, plain):
                return self._sent(known, options.get("ignore_result"))
        headers = {
            **inherited_owner(self),
            **tags_header(tags_of(self._tasks.get(name))),
            **(options.get("headers") or {}),
        }
        if headers:
            options["headers"] = headers
        if self.tracing is None or rest:
            return super().send_task(name, args, kwargs, *rest, **options)
        options["task_id"] = options.get("task_id") or new_id()
        with self.tracing.sending(name, options["task_id"], options.get("queue"), options) as options:
            return super().send_task(name, args, kwargs, *rest, **options)

    def _sent(self, task_id: str, ignore_result: Any) -> Any:
        result = self.AsyncResult(task_id)
        result.ignored = ignore_result
        parent = self.current_worker_task
        if parent is not None:
            parent.add_trail(result)
        return result

    def producer_or_acquire(self, producer: Any = None) -> Any:
        """Return the context in which Celery publishes: into the block that collects here, or to the broker."""
        make = offline_producer() if producer is None else None
        return super().producer_or_acquire(producer) if make is None else contextlib.nullcontext(make())

    # -- locks ------------------------------------------------------------------------------------------------

    @cached_property
    def keeper(self) -> LockKeeper:
        """Renews the locks that this process holds."""
        return LockKeeper(lambda: self.engine.locks)

    def lock(self, name: str, *, for_: object = "30s", wait: object = 0) -> Lock:
        """Return a lock that one process of the fleet holds at a time, for ``with`` or ``async with``.

            with jobs.lock("rates", wait="5s") as lock:
                ...

        It is renewed while the block runs, and ends ``for_`` after its process has died. ``wait``: for how long to wait
        for whoever has it; then :exc:`LockTaken`. ``lock.lost`` says whether it is not ours any more, ``lock.fence`` is
        its fencing number. Raises :exc:`ValueError` for what is no duration.
        """
        return self.keeper.lock(f"named:{name}", for_, wait)

    def breaker(self, name: str, **options: Any) -> BreakerBlock:
        """Return a ``with`` block behind the fleet's breaker ``name``; ``options`` are :class:`umbel.Breaker`'s.

            with jobs.breaker("gateway", failures=5, within="1m", open_for="30s"):
                ...

        Raises :exc:`BreakerOpen` at the block's beginning while nobody passes, and :exc:`ConfigurationError`.
        """
        return BreakerBlock(self.engine.breakers, f"named:{name}", Breaker(**options))

    def import_path(self) -> str:
        """Return ``module:name`` under which this application can be imported. Raises :exc:`ConfigurationError`."""
        for module in list(sys.modules.values()):
            name = getattr(module, "__name__", "")
            if name in ("", "__main__", "__mp_main__"):
                continue
            for attribute, value in list(vars(module).items()) if hasattr(module, "__dict__") else ():
                if value is self and not attribute.startswith("_"):
                    return f"{name}:{attribute}"
        raise ConfigurationError(
            f"No imported module has the application {self.main!r} at its top level: a worker process cannot find it. "
            'Put it into a module, or name it: app="package.module:jobs".'
        )


@signals.celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
def _prepare_worker(instance: Any, **_: Any) -> None:
    if isinstance(instance.app, Umbel):
        # Every job brings its limits along. The pool's own would give a soft one to jobs that have none.
        instance.pool.options.update(timeout=None, soft_timeout=None)
        instance.app.slots = instance.concurrency
        for sentence in ineffective_settings(instance.app):
            logger.warning(sentence)
