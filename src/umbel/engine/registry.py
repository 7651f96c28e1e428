"""One engine object a store and process, found by URL."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from umbel.engine.letters import KEEP, LetterLimits
from umbel.engine.redis_address import is_redis, redis_url
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Engine
from umbel.errors import ConfigurationError

if TYPE_CHECKING:
    from umbel.engine.state import State

__all__ = (
    "NO_STATE",
    "address_of",
    "engine_of",
    "is_embedded",
    "is_rabbit",
    "is_redis",
    "is_served",
    "is_state",
    "open_engine",
    "open_state",
    "options_of",
    "sqlite_path",
)

_ENGINES: Final[dict[tuple[str, ...], Engine]] = {}
_LOCK: Final = threading.Lock()
_RABBIT: Final = ("amqp", "amqps", "pyamqp", "pyamqps")
_POSTGRES: Final = ("postgresql", "postgresql+psycopg")
#: What is said where a RabbitMQ has no state store beside it.
NO_STATE: Final = (
    "RabbitMQ keeps messages only: set UMBEL_STATE_URL to where results, leases and cancellations are kept, "
    "redis://host:6379/0 or postgresql+psycopg://user:password@host/database."
)


def is_embedded(url: str | None) -> bool:
    """Whether ``url`` names the embedded engine."""
    return bool(url) and str(url).partition(":")[0] == SQLiteEngine.scheme


def is_rabbit(url: str | None) -> bool:
    """Whether ``url`` names a RabbitMQ, or several nodes of one."""
    return bool(url) and str(url).partition(":")[0] in _RABBIT


def is_served(url: str | None) -> bool:
    """Whether ``url`` is served by an engine of Umbel's; others are Celery's own transports."""
    return is_embedded(url) or is_redis(url) or is_rabbit(url)


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


def open_engine(
    url: str,
    *,
    durability: str = "normal",
    crash_limit: int = 3,
    prefix: str = "",
    state_url: str = "",
    ssl: Any = None,
    keep: Sequence[float] | None = None,
    release: str | None = None,
) -> Engine:
    """Return this process's engine for ``url``; the first caller's options hold.

    ``keep``: how many dead letters are kept, and for how many seconds.
    """
    place = url if is_rabbit(url) else redis_url(url) if is_redis(url) else str(sqlite_path(url))
    limits = KEEP if keep is None else LetterLimits(most=int(keep[0]), seconds=keep[1])
    with _LOCK:
        engine = _ENGINES.get((place, prefix, state_url))
        if engine is None:
            if is_rabbit(url):
                engine = _open_rabbit(url, state_url, crash_limit, prefix, ssl, limits)
            else:
                engine = _open(place, is_redis(url), durability, crash_limit, prefix, limits)
            engine.release = release
            _ENGINES[place, prefix, state_url] = engine
        return engine


def _open(place: str, redis: bool, durability: str, crash_limit: int, prefix: str, keep: LetterLimits) -> Engine:
    if not redis:
        return SQLiteEngine(Path(place), durability=durability, crash_limit=crash_limit, keep=keep)
    try:
        from umbel.engine.redis import RedisEngine
    except ImportError as error:
        raise ConfigurationError("A Redis broker needs the package redis: pip install 'umbel[redis]'.") from error
    return RedisEngine(place, crash_limit=crash_limit, prefix=prefix, keep=keep)


def _open_rabbit(url: str, state_url: str, crash_limit: int, prefix: str, ssl: Any, keep: LetterLimits) -> Engine:
    from umbel.engine.rabbit import RabbitEngine

    return RabbitEngine(url, open_state(state_url, prefix=prefix, keep=keep), crash_limit=crash_limit, ssl=ssl)


def open_state(url: str, *, prefix: str = "", keep: LetterLimits = KEEP) -> State:
    """Return a state store. Raises :exc:`ConfigurationError` if ``url`` names none."""
    try:
        if is_redis(url):
            from umbel.engine.redis_state import RedisState

            return RedisState(redis_url(url), prefix=prefix, keep=keep)
        if url.partition(":")[0] in _POSTGRES:
            from umbel.engine.postgres_state import PostgresState

            return PostgresState(url.replace("postgresql+psycopg:", "postgresql:", 1), keep=keep)
    except ImportError as error:
        package = "redis" if is_redis(url) else "postgres"
        raise ConfigurationError(f"This state store needs a package: pip install 'umbel[{package}]'.") from error
    raise ConfigurationError(NO_STATE)


def is_state(url: str | None) -> bool:
    """Whether ``url`` names a state store."""
    return is_redis(url) or str(url or "").partition(":")[0] in _POSTGRES


def options_of(app: Any) -> dict[str, Any]:
    """Return the options with which ``app`` opens its engine."""
    settings = getattr(app, "settings", None)
    options = {
        "durability": getattr(settings, "durability", "normal"),
        "crash_limit": getattr(settings, "crash_limit", 3),
        "prefix": (app.conf.broker_transport_options or {}).get("global_keyprefix", ""),
        "release": getattr(settings, "release", None),
    }
    if settings is not None:
        most, age = settings.dead_letters_most, settings.dead_letters_age
        options["keep"] = (most, age.total_seconds())
    if is_rabbit(app.conf.broker_url):
        options.update(state_url=getattr(settings, "state_url", None) or "", ssl=app.conf.broker_use_ssl or None)
    return options


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
