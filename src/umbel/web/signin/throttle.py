"""Failed sign-ins are counted, and whoever has had too many of them waits.

    throttle = Throttle("sign-ins", least=30, burst=10)
    if wait := throttle.wait("192.0.2.7"):
        raise throttled(wait)
    throttle.failed("192.0.2.7")

Each key (an address) may fail ``burst`` times at once, and once more every ``least`` seconds after that. Who
waits is not even listened to, so that a guess that is right is worth nothing then; a success neither costs anything nor
gives anything back. It is logged once, until all of a key's failures have been forgiven.

It knows what this process has seen: several processes allow as many times that. At most :data:`KEYS_MOST` keys are
remembered, those that failed last: a few megabytes. Safe to share among threads.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import threading
import time
from collections import OrderedDict
from typing import Final

from starlette.requests import Request

from umbel.web.problems import Problem

__all__ = ("KEYS_MOST", "Throttle", "address_key", "throttled")

logger = logging.getLogger("umbel.web")

#: So many keys are remembered.
KEYS_MOST: Final = 10_000
_KEY_MOST: Final = 200
#: Whoever has one address of IPv6 has as many as these bits leave.
_IPV6_BITS: Final = 64


class Throttle:
    """Failures of one kind; ``what`` names them in the log."""

    def __init__(self, what: str, *, least: float, burst: int) -> None:
        self._what: Final = what
        self._least: Final = least
        self._burst: Final = burst
        self._lock: Final = threading.Lock()
        #: When each key will have all of its failures back, on the monotonic clock, and whether that was logged.
        self._known: Final[OrderedDict[str, tuple[float, bool]]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Return for how many seconds ``key`` has to wait."""
        with self._lock:
            return self._wait(_cut(key), time.monotonic())

    def failed(self, key: str) -> None:
        """Count one failure of ``key``."""
        key = _cut(key)
        with self._lock:
            is_new = self._count(key, time.monotonic())
        if is_new:
            logger.warning(
                "Too many %s have failed for %r: from now on one is heard every %.0f s.", self._what, key, self._least
            )

    def _count(self, key: str, now: float) -> bool:
        """Count a failure; return whether it is the first one after which this key has to wait."""
        free, is_told = self._known.pop(key, (now, False))
        if free <= now:
            free, is_told = now, False
        self._known[key] = (free + self._least, is_told)
        while len(self._known) > KEYS_MOST:
            self._known.popitem(last=False)
        if is_told or not self._wait(key, now):
            return False
        self._known[key] = (free + self._least, True)
        return True

    def _wait(self, key: str, now: float) -> float:
        free, _ = self._known.get(key, (now, False))
        return max(0.0, free - now - (self._burst - 1) * self._least)


def throttled(wait: float) -> Problem:
    """Return the answer to who has to wait."""
    seconds = max(1, math.ceil(wait))
    detail = f"Too many sign-ins have failed: try again in {seconds} s."
    return Problem(429, "too-many-failures", detail, retry=seconds)


def address_key(request: Request) -> str:
    """Return what stands for the address of who asks; all of a network of IPv6 are one."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host or "a socket"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((int(address), _IPV6_BITS), strict=False))
    return str(address)


def _cut(key: str) -> str:
    return key[:_KEY_MOST]
