"""The node name of a worker process: one that no other process of this user on this host has at the same broker.

Celery leaves that to whoever starts workers, and warns when two of them answer under one name: control commands reach
both, and Flower shows one. Here whoever comes second gets the next number, as the processes of one ``umbel worker`` do.
The kernel holds a name while its process lives, however that ends.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from typing import Final

from umbel.engine.lease import KernelLock
from umbel.engine.leases import run_directory

__all__ = ("claim_name",)

logger = logging.getLogger(__name__)

#: The locks of this process's names, until it ends.
_HELD: Final[list[KernelLock]] = []


def claim_name(base: str, number: int, host: str, url: str) -> str:
    """Return ``BASE-NUMBER@HOST``, with the first number from ``number`` on that is free at the broker ``url``.

    A process calls it once.
    """
    try:
        found = next(n for n in itertools.count(number) if _claim(f"{base}@{host}", n, url))
    except OSError as error:
        logger.warning("Whether another worker has the same node name cannot be told: %s", error)
        found = number
    name = f"{base}-{found}@{host}"
    if found != number:
        logger.info("%s-%d@%s is the name of another worker here: this process is %s.", base, number, host, name)
    return name


def _claim(family: str, number: int, url: str) -> bool:
    names = run_directory(url) / "names"
    names.mkdir(mode=0o700, exist_ok=True)
    lock = KernelLock(names / f"{hashlib.sha256(family.encode()).hexdigest()[:16]}-{number}")
    if not lock.acquire():
        lock.close()
        return False
    _HELD.append(lock)
    return True
