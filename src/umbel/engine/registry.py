"""One engine object a store and process, found by URL."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Engine
from umbel.errors import ConfigurationError

__all__ = ("engine_of", "is_embedded", "is_redis", "is_served", "open_engine", "options_of", "redis_url", "sqlite_path")

_ENGINES: Final[dict[tuple[str, str], Engine]] = {}
_LOCK: Final = threading.Lock()
_REDIS: Final = ("redis", "rediss", "redis+socket", "unix")


def is_embedded(url: str | None) -> bool:
    """Whether ``url`` names the embedded engine."""
    return bool(url) and str(url).partition(":")[0] == SQLiteEngine.scheme


def is_redis(url: str | None) -> bool:
    """Whether ``url`` names one Redis server, which Umbel's own engine serves."""
    return bool(url) and ";" not in str(url) and str(url).partition(":")[0] in _REDIS


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


def redis_url(url: str) -> str:
    """Return a Redis URL in the form of redis-py; Kombu writes the database and sockets differently."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme in ("redis+socket", "unix"):
        query["db"] = query.pop("virtual_host", query.get("db", "0")).strip("/") or "0"
        return f"unix://{parts.netloc}{parts.path}?{urlencode(query)}"
    database = re.sub(r"\D", "", parts.path) or "0"
    return urlunsplit((parts.scheme, parts.netloc, f"/{database}", urlencode(query), ""))


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


def engine_of(app: Any, url: str | None = None) -> Engine:
    """Return the engine of an application's broker, or of ``url``, with the application's options."""
    return open_engine(str(url or app.conf.broker_url), **options_of(app))
