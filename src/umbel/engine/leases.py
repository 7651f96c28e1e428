"""Who is alive, when several hosts share a store.

On one host a process's death is seen at once and for certain, by the kernel lock on a file of its own (see
:mod:`umbel.engine.lease`). For other hosts each worker's lease is renewed at the store, by its supervisor where it has
one; whoever has watched a lease stand still for its whole length, while connected itself, may reap it.

Two processes are on one host when they see the same file of the same file system of the same kernel: then locks are
good. Containers that share the folder are one host, with whatever process ids; containers that do not, and machines
that share it over a network, are several, although they may have been made from one image. A wrong guess that way costs
the time of a lease; the other way it would cost the jobs of the living.
"""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from umbel.engine.lease import Abandoned, is_own, read_abandoned

__all__ = ("LEASE_SECONDS", "LeaseBook", "LeaseInfo", "Stale", "run_directory")

#: How long a lease of another host must stand still before it is taken for dead.
LEASE_SECONDS: Final = 15.0
#: A look at a lease proves at most this part of its length: whoever was stopped meanwhile has watched nothing.
_LOOK: Final = 0.4
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def run_directory(url: str) -> Path:
    """Return the folder of this user's processes on this host that use the store ``url``."""
    name = f"umbel-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user: set TMPDIR to a folder of your own.")
    inner = folder / hashlib.sha256(url.encode()).hexdigest()[:16]
    inner.mkdir(mode=0o700, exist_ok=True)
    return inner


def _identity(run: Path) -> str:
    """Return the name of this folder as this kernel sees it, which no other host or container has."""
    path = run / "host"
    if not path.exists():
        new = run / f"host.{secrets.token_hex(4)}"
        new.write_text(secrets.token_hex(8), encoding="ascii")
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            new.unlink()
    seen = path.stat()
    return f"{_kernel()}:{seen.st_dev:x}:{seen.st_ino:x}:{path.read_text(encoding='ascii')}"


def _kernel() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()


@dataclass(frozen=True, slots=True)
class Stale:
    """A lease of another host that has stood still for its whole length: what was seen of it."""

    beat: float
    started: tuple[int, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing, as below."""

    def leave(self) -> None:
        """Nothing: what is on another host cannot be locked."""

    def discard(self) -> None:
        """Nothing, likewise."""


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """What a worker said of itself."""

    token: str
    number: int
    hostname: str
    pid: int
    queues: tuple[str, ...]
    concurrency: int
    started: float
    host: str


class LeaseBook(ABC):
    """The leases of one store, as this process sees them; where they are kept is the subclass's."""

    def __init__(self, run: Path) -> None:
        self.run: Final = run
        self.host: Final = _identity(run)
        #: Of leases on other hosts: the beat that was seen last, for how long, and when, by this process's own clock.
        self._watched: dict[str, tuple[float, float, float]] = {}

    @abstractmethod
    def open(self, token: str, hostname: str, queues: list[str], concurrency: int) -> int:
        """Make a lease known; return its number."""

    @abstractmethod
    def retire(self, token: str) -> None:
        """Let a lease be no consumer any more."""

    @abstractmethod
    def renew(self, tokens: Sequence[str]) -> list[str]:
        """Tell other hosts that these processes live; return those whose leases have ended all the same."""

    @abstractmethod
    def all(self) -> list[LeaseInfo]:
        """Return all leases, dead ones that nobody has reaped included."""

    @abstractmethod
    def beat(self, token: str) -> float:
        """Return when a lease was renewed last, by the store's clock."""

    def abandoned(self, info: LeaseInfo) -> Abandoned | Stale | None:
        """Return the lease's file, locked, if its process is dead, or how it was seen on another host; else None."""
        if is_own(info.token):
            return None
        # Without its file nothing is known here: somebody may have tidied up under a living process.
        if self.is_near(info):
            return read_abandoned(self.run, info.token)
        return self._watch(info.token)

    def is_near(self, info: LeaseInfo) -> bool:
        """Whether this host's kernel tells if the process lives."""
        return info.host == self.host and (self.run / f"{info.token}.lease").exists()

    def look_away(self) -> None:
        """Note that the store cannot be asked: what was watched until now may be renewed unseen."""
        self._watched.clear()

    def is_alive(self, info: LeaseInfo) -> bool:
        """Whether the process lives, as far as can be seen from here."""
        found = self.abandoned(info)
        if found is not None:
            found.leave()
        return found is None

    def _watch(self, token: str) -> Stale | None:
        beat = self.beat(token)
        now = time.monotonic()
        seen, stood, looked = self._watched.get(token, (-1.0, 0.0, now))
        stood = stood + min(now - looked, _LOOK * LEASE_SECONDS) if beat == seen else 0.0
        self._watched[token] = (beat, stood, now)
        return Stale(beat) if stood >= LEASE_SECONDS else None

    def sweep(self) -> None:
        """Remove the files of dead processes of this host whose leases the store no longer knows."""
        known = {info.token for info in self.all()}
        for path in self.run.glob("*.lease"):
            if path.stem not in known and not is_own(path.stem):
                abandoned = read_abandoned(self.run, path.stem)
                if abandoned is not None:
                    abandoned.discard()

    def forget(self, token: str) -> None:
        """Drop what is remembered of a lease that has ended."""
        self._watched.pop(token, None)
