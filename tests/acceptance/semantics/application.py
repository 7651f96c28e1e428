"""The application under test, as plain Celery or as Umbel, with the same configuration and the same tasks."""

from __future__ import annotations

from typing import Any, Final

from celery import Celery
from kombu import Exchange, Queue, serialization

from tests.acceptance.semantics import declared as _declared
from tests.acceptance.semantics.catalogue import build

__all__ = ("CONSUMED", "make")

#: The queues that the worker of each world consumes; "parked" and "late" are declared and left alone.
CONSUMED: Final = ("main", "side", "video")

_CONFIGURATION: Final = {
    "accept_content": ["json", "reversed"],
    "result_accept_content": ["json"],
    "broker_connection_retry_on_startup": True,
    "result_extended": True,
    "task_acks_late": True,
    "task_default_queue": "main",
    "task_default_exchange": "main",
    "task_default_routing_key": "main",
    "task_queues": (
        Queue("main", Exchange("main"), routing_key="main"),
        Queue("side", Exchange("side"), routing_key="side"),
        Queue("video", Exchange("media", type="topic"), routing_key="media.video.#"),
        Queue("parked", Exchange("parked"), routing_key="parked"),
        Queue("late", Exchange("late"), routing_key="late"),
    ),
    "task_routes": ({"*.routed_by_name": {"queue": "side"}, "*.routed_glob_*": {"queue": "side"}},),
    "task_send_sent_event": True,
    "task_track_started": True,
    "worker_hijack_root_logger": True,
}


def make(kind: str, broker: str, backend: str | None = None, state: str | None = None, **configuration: Any) -> Celery:
    """Build the application: ``kind`` is "celery" or "umbel"."""
    app = _plain(broker, backend) if kind == "celery" else _umbel(broker, state)
    app.conf.update(_CONFIGURATION, **configuration)
    build(app, coroutines=kind == "umbel")
    app.finalize()
    return app


def _plain(broker: str, backend: str | None) -> Celery:
    return Celery("semantics", broker=broker, backend=backend)


def _umbel(broker: str, state: str | None) -> Celery:
    from umbel import Umbel
    from umbel.settings import Settings

    return Umbel("semantics", broker=broker, settings=Settings.load(**{"state_url": state} if state else {}))


def _reverse(text: str) -> str:
    return text[::-1]


def _dump_reversed(value: Any) -> str:
    return _reverse(serialization.dumps(value, serializer="json")[2])


def _load_reversed(text: Any) -> Any:
    plain = text if isinstance(text, str) else bytes(text).decode()
    return serialization.loads(_reverse(plain), "application/json", "utf-8")


serialization.register("reversed", _dump_reversed, _load_reversed, "application/x-reversed-json", "utf-8")
_ = _declared
