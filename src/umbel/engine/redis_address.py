"""Where a Redis is, in one form: what Kombu spreads over URL, transport options and ``broker_use_ssl``, in one URL.

    redis://user:password@host:6379/0            also rediss:// (TLS) and unix:///path/to/socket?db=0
    sentinel://user:password@one:26379,two:26379/0?master_name=shop&sentinel_password=…

User and password are the server's own; what begins with ``sentinel_`` is for the Sentinels. Options stand in the query
by their names in redis-py (``ssl_ca_certs``, ``socket_timeout``, …). Pure text: nothing is asked.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from umbel.errors import ConfigurationError

__all__ = ("SCHEMES", "is_redis", "redis_url", "shown")

SCHEMES: Final = ("redis", "rediss", "redis+socket", "unix", "sentinel")
#: What of Kombu's transport options is about the connection.
_OPTIONS: Final = (
    "client_name",
    "health_check_interval",
    "master_name",
    "min_other_sentinels",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_timeout",
)
#: What one may write for whether certificates are checked, and what redis-py reads.
_CHECKS: Final[dict[Any, str]] = {
    ssl.CERT_NONE: "none",
    ssl.CERT_OPTIONAL: "optional",
    ssl.CERT_REQUIRED: "required",
    "CERT_NONE": "none",
    "CERT_OPTIONAL": "optional",
    "CERT_REQUIRED": "required",
}


def is_redis(url: str | None) -> bool:
    """Whether ``url`` names one Redis, by itself or behind Sentinel; a list of other servers is Kombu's to try."""
    parts = str(url or "").split(";")
    scheme = parts[0].partition(":")[0]
    return scheme in SCHEMES and (len(parts) == 1 or scheme == "sentinel")


def redis_url(url: str, options: Mapping[str, Any] | None = None, use_ssl: Any = None) -> str:
    """Return ``url`` with ``options`` (Kombu's transport options) and ``use_ssl`` (``broker_use_ssl``) in it.

    Raises :exc:`ConfigurationError` for Sentinels whose master is not named.
    """
    first, *others = (urlsplit(one.strip()) for one in url.split(";") if one.strip())
    query = {name: value for part in (first, *others) for name, value in parse_qsl(part.query)}
    query |= {name: str(value) for name, value in (options or {}).items() if name in _OPTIONS and value is not None}
    query |= {f"sentinel_{name}": str(value) for name, value in ((options or {}).get("sentinel_kwargs") or {}).items()}
    query |= dict(_tls(use_ssl))
    for name in ("ssl_cert_reqs", "sentinel_ssl_cert_reqs"):
        if name in query:
            query[name] = _CHECKS.get(query[name], query[name])
    if first.scheme in ("redis+socket", "unix"):
        query["db"] = query.pop("virtual_host", query.get("db", "0")).strip("/") or "0"
        return f"unix://{first.netloc}{first.path}?{urlencode(query)}"
    if first.scheme == "sentinel":
        return _sentinel_url([first, *others], query, encrypted=bool(use_ssl))
    scheme = "rediss" if use_ssl else first.scheme
    return urlunsplit((scheme, first.netloc or "localhost", f"/{_database([first])}", urlencode(query), ""))


def _tls(use_ssl: Any) -> Iterable[tuple[str, str]]:
    """Yield redis-py's options for ``broker_use_ssl``: True, or a mapping with or without ``ssl_`` before its names."""
    for name, value in (use_ssl if isinstance(use_ssl, Mapping) else {}).items():
        if value is not None:
            yield f"ssl_{name.removeprefix('ssl_')}", _CHECKS.get(value, str(value))


def _sentinel_url(parts: list[SplitResult], query: dict[str, str], *, encrypted: bool) -> str:
    if not query.get("master_name"):
        raise ConfigurationError(
            f"{shown(parts[0].geturl())} does not say which master its Sentinels watch: set "
            "broker_transport_options = {'master_name': …}, or add ?master_name=… to the URL."
        )
    if encrypted:
        query["ssl"] = "true"
    users = [part.netloc.rpartition("@")[0] for part in parts if "@" in part.netloc]
    hosts = [host for part in parts for host in part.netloc.rpartition("@")[2].split(",") if host]
    netloc = "@".join([*users[:1], ",".join(hosts)])
    return urlunsplit(("sentinel", netloc, f"/{_database(parts)}", urlencode(query), ""))


def _database(parts: list[SplitResult]) -> str:
    return next((found for part in parts if (found := re.sub(r"\D", "", part.path))), "0")


def shown(url: str) -> str:
    """Return ``url`` without what may be secret: its password, and its options."""
    if ";" in url:
        return ";".join(map(shown, url.split(";")))
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{parts.scheme}://{name}{colon and ':**'}{at}{hosts}{parts.path}"
