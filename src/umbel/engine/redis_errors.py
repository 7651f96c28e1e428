"""What a Redis server's refusals mean, as Umbel's errors.

A script's error carries the server's word for it (``OOM``, ``READONLY``, …): at its beginning since Redis 7, inside
its text in 6.2. So the word is looked for, and never how the sentence around it goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from redis import exceptions

from umbel.errors import StoreDenied, StoreError, StoreFull, StoreReadOnly, StoreUnreachable

__all__ = ("meaning",)

_FULL: Final = (
    "{} is full (maxmemory) and takes no new jobs: let the workers finish what waits, or give it more memory. "
    "Nothing that was accepted has been lost."
)
_REPLICA: Final = (
    "{} has become a replica, which takes no writes: behind Sentinel the new master is found within seconds; "
    "otherwise point UMBEL_BROKER_URL to the master."
)
_DISK: Final = (
    "{} cannot save its data to its disk, and takes no writes until it can (MISCONF): see the server's log and disk."
)
_ALONE: Final = (
    "{} has fewer replicas within reach than its min-replicas-to-write, and takes no writes until they are back."
)
_WAIT: Final = "It answers again by itself; see that nobody runs long scripts on this server."

_MORE_CLIENTS: Final = "Raise its maxclients, or run fewer processes."

#: Redis 7 gives no word for a command that is denied inside a script.
_IN_SCRIPT: Final = "user executing the script"

#: How redis-py says that nothing was sent.
_NOT_CONNECTED: Final = "connecting to"


def _refused(place: str, reason: str, advice: str | None = None) -> StoreUnreachable:
    return StoreUnreachable(place, reason, advice, unsure=False)


_MEANINGS: Final[dict[str, Callable[[str, str], StoreError]]] = {
    "OOM": lambda place, _: StoreFull(place, _FULL.format(place)),
    "READONLY": lambda place, text: StoreReadOnly(place, text, _REPLICA.format(place)),
    "MISCONF": lambda place, text: StoreReadOnly(place, text, _DISK.format(place)),
    "NOREPLICAS": lambda place, text: StoreReadOnly(place, text, _ALONE.format(place)),
    "NOPERM": lambda place, text: StoreDenied(place, text),
    "NOAUTH": lambda place, text: StoreDenied(place, text),
    "WRONGPASS": lambda place, text: StoreDenied(place, text),
    "LOADING": lambda place, _: _refused(place, "it is loading its data", "It answers when it has done so."),
    "MASTERDOWN": lambda place, _: _refused(place, "it is a replica that has lost its master"),
    "BUSY": lambda place, _: _refused(place, "it is busy with a script", _WAIT),
}
_WORD: Final = re.compile(rf"\b({'|'.join(_MEANINGS)})\b")


def meaning(place: str, error: Exception) -> StoreError | None:
    """Return ``error`` of redis-py as one of ours; None for what is no fault of the server's."""
    if isinstance(error, exceptions.AuthenticationError):
        return StoreDenied(place, str(error))
    text = str(error)
    for kind, word in _KINDS:
        if isinstance(error, kind):
            return _MEANINGS[word](place, text)
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError)):
        advice = _MORE_CLIENTS if "max number of clients" in text else None
        return StoreUnreachable(place, text, advice, unsure=advice is None and _NOT_CONNECTED not in text)
    if _IN_SCRIPT in text:
        return StoreDenied(place, text)
    found = _WORD.search(text)
    if found is not None:
        return _MEANINGS[found[1]](place, text)
    if "user_script" in text:
        # Nothing that trying again would mend.
        return None
    return StoreError(place, f"{place} refused what was asked ({text}).")


#: redis-py takes the word away from those that it has a class for.
_KINDS: Final = (
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.NoPermissionError, "NOPERM"),
    (exceptions.MasterDownError, "MASTERDOWN"),
)
