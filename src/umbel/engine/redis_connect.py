"""Clients for a Redis by its address: TCP, TLS, a socket file, or whichever server Sentinel calls the master.

No client tries anything twice by itself: whether what was cut off may be repeated is for its caller to know.
"""

from __future__ import annotations

from inspect import signature
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

__all__ = ("TIMEOUT_SECONDS", "connect")

#: A server that says nothing for so long is asked again over another connection; workers ask nothing that takes longer.
TIMEOUT_SECONDS: Final = 5.0
#: A Sentinel that does not answer is passed over for the next one.
_SENTINEL_SECONDS: Final = 2.0
_SENTINEL_PORT: Final = 26379
#: No word of the library's at each connection: one round trip and one right less. Older ones call it otherwise.
_SILENT: Final[dict[str, Any]] = (
    {"driver_info": None}
    if "driver_info" in signature(AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)
_BY_HAND: Final = ("master_name", "min_other_sentinels", "ssl")


def connect(url: str, **options: Any) -> Any:
    """Return a client for an address in the form of :func:`umbel.engine.redis_address.redis_url`."""
    options = {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "health_check_interval": 30,
        **_SILENT,
        **options,
    }
    if url.startswith("sentinel:"):
        return _behind_sentinel(url, options)
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)


def _behind_sentinel(url: str, options: dict[str, Any]) -> Any:
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    query = dict(parse_qsl(parts.query))
    for_sentinels = {name.removeprefix("sentinel_"): value for name, value in query.items() if _is_sentinels(name)}
    manager = Sentinel(  # type: ignore[no-untyped-call]
        [_address(host) for host in hosts.split(",")],
        min_other_sentinels=int(query.get("min_other_sentinels", 0)),
        sentinel_kwargs={
            "socket_timeout": _SENTINEL_SECONDS,
            "socket_connect_timeout": _SENTINEL_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            **_typed(for_sentinels),
        },
    )
    server = {name: value for name, value in query.items() if name not in _BY_HAND and not _is_sentinels(name)}
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        query["master_name"],
        manager,
        db=int(parts.path.strip("/") or 0),
        username=unquote(user) or None,
        password=unquote(password) or None,
        retry=Retry(NoBackoff(), 0),
        **{"ssl": True} if query.get("ssl") == "true" else {},
        **{**options, **_typed(server)},
    )
    return redis.Redis.from_pool(pool)


def _is_sentinels(name: str) -> bool:
    return name.startswith("sentinel_")


def _address(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "localhost", parts.port or _SENTINEL_PORT


def _typed(options: dict[str, str]) -> dict[str, Any]:
    """Return options of a query as redis-py reads them."""
    known: dict[str, Any] = parse_url(f"redis://?{urlencode(options)}")  # type: ignore[no-untyped-call]
    if "ssl" in known:
        known["ssl"] = str(known["ssl"]).lower() in ("1", "true", "yes")
    return known
