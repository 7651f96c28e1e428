"""One engine object a store and process, found by URL."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from umbel.engine.redis_address import is_redis, redis_url
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Engine
from umbel.errors import ConfigurationError

__all__ = (
    "address_of",
    "engine_of",
    "is_embedded",
    "is_redis",
    "is_served",
    "open_engine",
    "options_of",
    "sqlite_path",
)

_ENGINES: Final[dict[tuple[str, str], Engine]] = {}
_LOCK: Final = threading.Lock()


def is_embedded(url: str | None) -> bool:
    """Whether ``url`` names the embedded engine."""
    return bool(url) and str(url).partition(":")[0] == SQLiteEngine.scheme


def is_served(url: str | None) -> bool:
    """Whether ``url`` is served by an engine of Umbel's; others are Celery's own transports."""
    return is_embedded(url) or is_redis(url)


def sqlite_path(url: str) -> Path:
    """Return the file of a ``sqlite:`` URL: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
    parts = urlsplit(url)
    name = unquote(parts.path)[1:]
    if parts.scheme != SQLiteEngine.scheme or parts.netloc or not name:
        raise ConfigurationError(
            f"{url!r} does not name a SQLite file: write sqlite:////absolute/path/jobs.db (four slashes) "
            "or sqlite:///relative/jobs.db (three)."
        )
    return Path(name).resolve()


def open_engine(url: str, *, durability: str = "normal", crash_limit: int = 3, prefix: str = "") -> Engine:
    """Return this process's engine for ``url``; the first caller's options hold."""
    place = redis_url(url) if is_redis(url) else str(sqlite_path(url))
    with _LOCK:
        engine = _ENGINES.get((place, prefix))
        if engine is None:
            engine = _ENGINES[place, prefix] = _open(place, is_redis(url), durability, crash_limit, prefix)
        return engine


def _open(place: str, redis: bool, durability: str, crash_limit: int, prefix: str) -> Engine:
    if not redis:
        return SQLiteEngine(Path(place), durability=durability, crash_limit=crash_limit)
    try:
        from umbel.engine.redis import RedisEngine
    except ImportError as error:
        raise ConfigurationError("A Redis broker needs the package redis: pip install 'umbel[redis]'.") from error
    return RedisEngine(place, crash_limit=crash_limit, prefix=prefix)


def options_of(app: Any) -> dict[str, Any]:
    """Return the options with which ``app`` opens its engine."""
    settings = getattr(app, "settings", None)
    return {
        "durability": getattr(settings, "durability", "normal"),
        "crash_limit": getattr(settings, "crash_limit", 3),
        "prefix": (app.conf.broker_transport_options or {}).get("global_keyprefix", ""),
    }


def address_of(app: Any, url: str | None = None, **options: Any) -> str:
    """Return the broker's URL, or ``url``, with what the application says elsewhere of its connection.

    ``options``: what goes before the application's ``transport_options`` and ``ssl``. Raises :exc:`ConfigurationError`.
    """
    url = str(url or app.conf.broker_url)
    if not is_redis(url):
        return url
    known = {**(app.conf.broker_transport_options or {}), **(options.get("transport_options") or {})}
    return redis_url(url, known, options.get("ssl") or app.conf.broker_use_ssl)


def engine_of(app: Any, url: str | None = None) -> Engine:
    """Return the engine of an application's broker, or of ``url``, with the application's options."""
    return open_engine(address_of(app, url), **options_of(app))
