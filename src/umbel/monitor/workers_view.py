"""Worker processes as they are now: what the store knows of them, and what they say of themselves.

What they say is asked over Celery's control commands, of all at once, and kept for some seconds, however many look.
One that is too busy to answer within a second, or of another kind, is shown without it.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.engine.store import WorkerStatus

__all__ = ("Profile", "SettingRow", "WorkerRow", "WorkersView")

_ANSWER_SECONDS: Final = 1.0
_KEPT_SECONDS: Final = 3.0
#: So many are asked at once.
_ASKED_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting as it holds in a process, masked where it is a secret, and where it comes from."""

    name: str
    value: str
    source: str

    @property
    def is_default(self) -> bool:
        """Whether nobody has set it."""
        return self.source.startswith("default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a process says of itself. ``memory`` is bytes, 0 where it does not know."""

    slots: int
    pool: str
    memory: int
    #: How many it has begun since its start.
    jobs: int
    release: str | None
    versions: Mapping[str, str]
    settings: tuple[SettingRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """One live process. ``started`` is unix seconds."""

    name: str
    pid: int
    queues: tuple[str, ...]
    slots: int
    in_flight: int
    started: float
    #: It takes no more jobs, and ends when it has ended those that it holds.
    is_draining: bool
    profile: Profile | None
    #: Other processes of this very name: what is told to one of them is told to all.
    namesakes: int = 0

    @property
    def is_full(self) -> bool:
        """Whether all of its slots are taken."""
        return self.in_flight >= self.slots


class WorkersView:
    """Reads the workers of an application."""

    def __init__(self, app: Umbel) -> None:
        self._app: Final = app
        self._lock: Final = threading.Lock()
        #: What each has said, None for one that did not answer, and until when that is shown.
        self._said: dict[str, tuple[Profile | None, float]] = {}

    def all(self) -> tuple[WorkerRow, ...]:
        """Return all live processes, by name. Raises a :exc:`StoreError`."""
        found = sorted(self._app.engine.workers(), key=lambda one: (one.hostname, one.pid))
        said = self._ask([one.hostname for one in found][:_ASKED_MOST])
        names = Counter(one.hostname for one in found)
        return tuple(_row(one, said.get(one.hostname), names[one.hostname] - 1) for one in found)

    def one(self, name: str) -> WorkerRow | None:
        """Return one live process; None when there is none of that name. Raises a :exc:`StoreError`."""
        known = [one for one in self._app.engine.workers() if one.hostname == name]
        return _row(known[0], self._ask([name]).get(name), len(known) - 1) if known else None

    def forget(self) -> None:
        """Ask anew next time: something was changed."""
        self._said = {}

    def _ask(self, names: Sequence[str]) -> dict[str, Profile | None]:
        with self._lock:
            now = time.monotonic()
            known = {name: kept for name, kept in self._said.items() if kept[1] > now}
            missing = [name for name in names if name not in known]
            found = _answers(self._app, missing) if missing else {}
            until = time.monotonic() + _KEPT_SECONDS
            self._said = known | {name: (found.get(name), until) for name in missing}
            return {name: kept[0] for name, kept in self._said.items()}


def _answers(app: Any, names: Sequence[str]) -> dict[str, Profile]:
    inspect = app.control.inspect(list(names), timeout=_ANSWER_SECONDS, limit=len(names))
    found: dict[str, Any] = inspect._request("umbel_profile") or {}
    # A worker of another kind answers that it does not know the command.
    return {name: _profile(said) for name, said in found.items() if isinstance(said, dict) and "settings" in said}


def _profile(said: Mapping[str, Any]) -> Profile:
    return Profile(
        slots=int(said["slots"]),
        pool=str(said["pool"]),
        memory=int(said["memory"]),
        jobs=int(said["jobs"]),
        release=said.get("release"),
        versions=dict(said["versions"]),
        settings=tuple(SettingRow(*map(str, row)) for row in said["settings"]),
    )


def _row(known: WorkerStatus, said: Profile | None, namesakes: int) -> WorkerRow:
    return WorkerRow(
        name=known.hostname,
        pid=known.pid,
        queues=known.queues,
        slots=known.concurrency if said is None else said.slots,
        in_flight=known.in_flight,
        started=known.started,
        is_draining=not known.queues,
        profile=said,
        namesakes=namesakes,
    )
