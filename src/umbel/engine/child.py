"""A worker process under the supervisor: Celery's worker, which tells how it is doing."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from umbel.engine.alerts_told import alerts_told
from umbel.engine.node_names import claim_name
from umbel.engine.registry import address_of, is_embedded, is_served, options_of
from umbel.errors import StoreError, StoreReadOnly, StoreUnreachable, UmbelError
from umbel.settings import Settings, history_place

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("main",)

logger = logging.getLogger(__name__)

_EX_UNAVAILABLE: Final = 69
_EX_CONFIG: Final = 78
#: What a server says for a while: Celery's consumer waits for its end.
_PASSES: Final = (StoreUnreachable, StoreReadOnly)
_SWITCH_SECONDS: Final = 0.001


def main(text: str, load: Callable[[str], Any]) -> int:
    """Run one worker process for the application that ``load`` gives; return its exit code.

    ``text`` is what the supervisor says, as JSON.
    """
    settings = json.loads(text)
    status = _Status(settings["status_fd"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Threads hand jobs to each other: whoever waits for the interpreter must not wait Python's default of 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        app = load(settings["app"])
        from umbel.engine import console

        told = app.settings
        status.tell(
            processes=told.processes,
            grace=told.grace.total_seconds(),
            engine=options_of(app),
            outbox={"database": told.database_url, "app": app.main or ""} if told.database_url else None,
            history=_history(told) if told.history and is_served(app.conf.broker_url) else None,
            alerts=alerts_told(app) if told.alerts else None,
        )
        console.install(as_json=told.log_format == "json")
        app.conf.worker_log_format = app.conf.worker_task_log_format = console.FORMAT
        _watch_life(settings["life_fd"])
        if is_served(app.conf.broker_url):
            # A server may come back; a wrong password, or a file that is another program's, will not mend by waiting.
            with contextlib.suppress(*(() if is_embedded(app.conf.broker_url) else _PASSES)):
                app.engine.check()
        if settings["role"] == "beat":
            return _beat(app, settings)
        return _work(app, settings, status)
    except UmbelError as error:
        print(f"Error: {error}", file=sys.__stderr__)
        return _EX_UNAVAILABLE if isinstance(error, StoreError) else _EX_CONFIG


def _work(app: Umbel, settings: dict[str, Any], status: _Status) -> int:
    from celery.signals import celeryd_after_setup, worker_ready, worker_shutting_down

    from umbel.engine.recycle import Recycler

    def ready(sender: Any, **_: Any) -> None:
        queues = ", ".join(app.amqp.queues.consume_from)
        place = app.connection().as_uri()
        logger.info("%s takes jobs from %s, %d at a time (%s).", sender.hostname, queues, sender.pool.limit, place)
        status.tell(ready=True, url=address_of(app))
        Recycler(app, sender, settings, status.tell).start()

    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(lambda **_: status.tell(draining=True), weak=False)
    celeryd_after_setup.connect(lambda instance, **_: _own_limits(instance, settings), weak=False)
    worker = app.Worker(
        hostname=claim_name(settings["name"], settings["number"], settings["host"], address_of(app)),
        loglevel=settings["loglevel"],
        logfile=settings["logfile"],
        queues=settings["queues"],
        concurrency=settings["concurrency"],
        task_events=settings["task_events"] or None,
        time_limit=settings["time_limit"],
        soft_time_limit=settings["soft_time_limit"],
        max_tasks_per_child=settings["max_tasks_per_child"],
        max_memory_per_child=settings["max_memory_per_child"],
        # Workers learn of each other from the store, and a start need not wait a second for their answers.
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    )
    worker.on_lease = lambda token: status.tell(lease=token, url=address_of(app))
    worker.start()
    if getattr(worker, "dismissed", False):
        status.tell(leaving=True)
    return int(worker.exitcode or 0)


def _history(told: Settings) -> dict[str, Any]:
    """Return what the recorder is to know."""
    return {
        "url": history_place(told),
        "age": told.history_age.total_seconds(),
        "failures_age": told.history_failures_age.total_seconds(),
        "most": told.history_most,
    }


def _own_limits(worker: Any, settings: dict[str, Any]) -> None:
    # A limit of the command line holds for the tasks that have none of their own.
    for name in ("time_limit", "soft_time_limit"):
        if settings[name] is not None:
            default = worker.app.conf[f"task_{name}"]
            for task in worker.app.tasks.values():
                if getattr(task, name) == default:
                    setattr(type(task), name, settings[name])
            setattr(worker.app.conf, f"task_{name}", settings[name])


def _beat(app: Umbel, settings: dict[str, Any]) -> int:
    app.Beat(loglevel=settings["loglevel"], logfile=settings["logfile"], quiet=True).run()
    return 0


def _watch_life(fd: int) -> None:
    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(fd, 1):
                pass
        # The supervisor is gone: drain as for its SIGTERM.
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="umbel-life", daemon=True).start()


class _Status:
    """What this process tells its supervisor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_inheritable(fd, False)

    def tell(self, **message: Any) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, json.dumps({**message, "at": time.time()}).encode() + b"\n")
