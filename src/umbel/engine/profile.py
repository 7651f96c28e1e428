"""What a worker process says of itself when it is asked: its slots, its memory, and the configuration that holds in it.

A control command, ``umbel_profile``: what it says is true at that moment, and nothing is kept of it anywhere. Of each
value it tells where that comes from; secrets are masked here, before they leave the process.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final

from celery.worker import control, state

from umbel.engine.recycle import resident_kib

__all__ = ("profile",)

_VALUE_MOST: Final = 500
_SETTINGS_MOST: Final = 300
#: In a URL, wherever it stands.
_PASSWORD: Final = re.compile(r"(://[^:@/\s]*:)[^\s]*@")
#: Who may hold what is nobody's business, or is shown on a page of its own.
_LEFT_OUT: Final = frozenset({"beat_schedule", "deprecated_settings", "include", "imports"})
#: The worker's options, by the setting that each stands in for.
_OPTIONS: Final[Mapping[str, str]] = {
    "concurrency": "concurrency",
    "max_tasks_per_child": "max_tasks_per_child",
    "max_memory_per_child": "max_memory_per_child",
    "time_limit": "time_limit",
    "soft_time_limit": "soft_time_limit",
}


@control.inspect_command(name="umbel_profile")  # type: ignore[untyped-decorator]
def profile(panel: Any, **_: Any) -> dict[str, Any]:
    """Say what this process is: slots, memory, versions, settings with their sources."""
    app, controller = panel.app, panel.consumer.controller
    rows = [*_settings(app, controller), *_celerys(app)]
    return {
        "pid": os.getpid(),
        "slots": _slots(panel.consumer.pool),
        "pool": _pool(panel.consumer.pool),
        "memory": resident_kib() * 1024,
        "jobs": sum(state.total_count.values()),
        "release": getattr(app.settings, "release", None),
        "versions": {name: version(name) for name in ("umbel", "celery")},
        "settings": rows[:_SETTINGS_MOST],
    }


def _pool(pool: Any) -> str:
    """Return what the setting calls it: ``default``, ``prefork``, ``threads``, ``solo``."""
    name = type(pool).__module__
    return "default" if name == "umbel.engine.pool" else name.rpartition(".")[2]


def _slots(pool: Any) -> int:
    return int(getattr(pool, "num_processes", None) or pool.limit or 1)


def _settings(app: Any, controller: Any) -> Iterator[list[str]]:
    """Yield name, value and source of Umbel's own."""
    for one in app.settings.explain():
        given = getattr(controller, _OPTIONS[one.name], None) if one.name in _OPTIONS else None
        if given is not None and _text(given) != _text(_plain(one.value)):
            yield [one.name, _text(given), "option of the worker"]
        else:
            yield [one.name, _text(one.value), one.source]


def _celerys(app: Any) -> Iterator[list[str]]:
    """Yield those of Celery's that are not as Celery has them."""
    changed = {str(name) for name in app.conf.changes}
    for name, value in sorted(app.conf.table(with_defaults=False, censored=True).items()):
        if name not in _LEFT_OUT:
            yield [name, _text(value), "application" if name in changed else "default of Umbel"]


def _plain(value: Any) -> Any:
    return value.total_seconds() if isinstance(value, timedelta) else value


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = "" if value is None else str(value)
    return _PASSWORD.sub(r"\1********@", text)[:_VALUE_MOST]
