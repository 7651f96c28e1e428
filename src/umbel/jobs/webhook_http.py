"""Sends a webhook over HTTP, to nobody but whom it may reach, and within a time (C37).

The name is resolved here, once for each connection, all of its addresses are judged, and the connection goes to one of
those: another answer of the name server a moment later changes nothing. TLS still verifies the name. The same holds for
each redirect; of those only 307 and 308 are followed, three at the most, and never from https: to http:.
Proxies of the environment are not used. Nothing of the answer's body is read.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import httpcore

from umbel.errors import WebhookFailed
from umbel.jobs.webhook_address import Allowed, checked_url, shown_url

__all__ = ("Answer", "Post")

_REDIRECTS_MOST: Final = 3
_REDIRECTS: Final = (307, 308)
#: How many addresses of a name are tried.
_ADDRESSES_MOST: Final = 4

Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said: its status, and what its ``Retry-After`` asks for."""

    status: int
    retry_after: str | None = None


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of ``host``. Raises httpcore's ``ConnectError``."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"{host}: {error}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Post:
    """Sends one webhook. ``timeout`` is for all of it, in seconds."""

    def __init__(self, allowed: Allowed, *, timeout: float = 15.0, resolve: Resolve = resolve) -> None:
        self._allowed = allowed
        self._timeout = timeout
        self._resolve = resolve

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send ``body`` to ``url`` and return the answer. Raises :exc:`AddressRefused` and :exc:`WebhookFailed`."""
        backend: Any = _Guard(self._allowed, self._resolve, time.monotonic() + self._timeout)
        context = httpcore.default_ssl_context()
        try:
            with httpcore.ConnectionPool(ssl_context=context, network_backend=backend) as pool:
                return self._follow(pool, url, body, headers)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            said = f"{type(error).__name__} {error}".strip()
            raise WebhookFailed(shown_url(url), said) from error

    def _follow(self, pool: httpcore.ConnectionPool, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        for _ in range(_REDIRECTS_MOST + 1):
            answer, target = self._send(pool, checked_url(url), body, headers)
            if answer.status not in _REDIRECTS or target is None:
                return answer
            secure = urlsplit(url).scheme == "https"
            url = urljoin(url, target)
            if secure and urlsplit(url).scheme != "https":
                raise WebhookFailed(shown_url(url), "it leads from https: to http:", final=True)
        return answer

    def _send(
        self, pool: httpcore.ConnectionPool, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[Answer, str | None]:
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
        sent: Any = {"Host": urlsplit(url).netloc, "Content-Length": str(len(body)), **headers}
        with pool.stream("POST", url, headers=sent, content=body, extensions={"timeout": timeouts}) as response:
            said = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            return Answer(response.status, said.get(b"retry-after")), said.get(b"location")


class _Guard(httpcore.NetworkBackend):
    """Connects to addresses that have been judged, and to them only until ``ends``."""

    def __init__(self, allowed: Allowed, resolve: Resolve, ends: float) -> None:
        self._real = httpcore.SyncBackend()
        self._allowed = allowed
        self._resolve = resolve
        self._ends = ends

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *args: Any, **kwargs: Any) -> Any:
        """Connect to the first address of ``host`` that answers, if all of them may be reached."""
        addresses = self._resolve(host, port)
        for address in addresses:
            self._allowed.judge(host, address)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses[:_ADDRESSES_MOST]:
            try:
                stream = self._real.connect_tcp(address, port, _left(self._ends), *args, **kwargs)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Bounded(stream, self._ends)
        raise failure

    def connect_unix_socket(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """Refuse: nobody outside is reached by a file."""
        raise httpcore.ConnectError(f"{path} is a socket of this machine.")


class _Bounded(httpcore.NetworkStream):
    """A stream that ends in time, also when the other side sends a byte now and then."""

    def __init__(self, stream: httpcore.NetworkStream, ends: float) -> None:
        self._stream = stream
        self._ends = ends

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._stream.read(max_bytes, _left(self._ends))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write everything."""
        self._stream.write(buffer, _left(self._ends))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS from now on."""
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, _left(self._ends)), self._ends)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._stream.get_extra_info(info)


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("it took too long")
    return left
