"""Asking a prefork child what it is doing: its parent hears of a job's beginning and of its end, and nothing between.

Each child has a thread that waits at a socket in a folder which only this user can read. It answers whatever the main
thread, where the job runs, is busy with, unless that is in C code that lets no other thread run. Costs a thread a
child, which sleeps until it is asked.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import msgspec
from celery import signals
from celery.concurrency.prefork import TaskPool as Prefork

__all__ = ("ask", "listen", "open_ears", "sweep")

_PATIENCE_SECONDS: Final = 0.3
#: Whoever has not answered is not asked again for so long: its worker does nothing else while it waits.
_SILENCE_SECONDS: Final = 10.0
_SILENT_MOST: Final = 100
_PREFIX: Final = "umbel-ears-"
_OWNER: Final = "owner"
_ANSWER_MOST: Final = 60_000
_numbers: Final = itertools.count()
_folder: Path | None = None
#: Its lock lasts as long as this process and its children.
_owner: IO[bytes] | None = None
_silent: Final[dict[int, float]] = {}
_answer: Callable[[int], dict[str, Any]] | None = None


def open_ears(answer: Callable[[int], dict[str, Any]]) -> None:
    """Let the children of this process's prefork pool answer with what ``answer`` says of their main thread."""
    global _answer
    _answer = answer


@signals.celeryd_after_setup.connect(weak=False)  # type: ignore[untyped-decorator]
def _prepare(instance: Any, **_: Any) -> None:
    global _folder
    if _folder is None and _answer is not None and issubclass(instance.pool_cls, Prefork):
        sweep()
        _folder = _made()
        atexit.register(_remove, _folder, os.getpid())


def _made() -> Path:
    """Return a new folder, which is this process's as long as it lives."""
    global _owner
    from fcntl import LOCK_EX, flock

    folder = Path(tempfile.mkdtemp(prefix="umbel-new-"))
    _owner = (folder / _OWNER).open("wb")
    flock(_owner, LOCK_EX)
    # Under this name it is seen by who sweeps, and it is locked by now.
    return folder.rename(folder.with_name(folder.name.replace("umbel-new-", _PREFIX)))


def sweep() -> None:
    """Remove the folders of processes that were killed."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (folder / _OWNER).open("rb") as owner:
            flock(owner, LOCK_EX | LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


@signals.worker_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
def _leave(**_: Any) -> None:
    if _folder is not None:
        _remove(_folder, os.getpid())


def _remove(folder: Path, owner: int) -> None:
    # A child inherits what its parent has registered.
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


@signals.worker_process_init.connect(weak=False)  # type: ignore[untyped-decorator]
def listen(**_: Any) -> None:
    """Begin to answer, in a child."""
    if _folder is None:
        return
    with contextlib.suppress(OSError):
        place = _folder / str(os.getpid())
        place.unlink(missing_ok=True)
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.bind(str(place))
        main = threading.main_thread().ident or 0
        threading.Thread(target=_serve, args=(ear, main), name="umbel-ear", daemon=True).start()


def _serve(ear: socket.socket, main: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, sender = ear.recvfrom(16)
            said = msgspec.json.encode(_answer(main) if _answer is not None else {})
            ear.sendto(said[:_ANSWER_MOST], sender)


def ask(pid: int) -> dict[str, Any] | None:
    """Return what the child ``pid`` says of what it does; None when it says nothing at once."""
    if _folder is None or time.monotonic() - _silent.get(pid, -_SILENCE_SECONDS) < _SILENCE_SECONDS:
        return None
    found = _asked(_folder, pid)
    if found is None:
        # Few at a time, and of a process that has ended nobody asks again.
        _silent[pid] = time.monotonic()
        while len(_silent) > _SILENT_MOST:
            _silent.pop(next(iter(_silent)))
    return found


def _asked(folder: Path, pid: int) -> dict[str, Any] | None:
    own = folder / f"{os.getpid()}-{next(_numbers)}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as mouth:
            mouth.bind(str(own))
            mouth.settimeout(_PATIENCE_SECONDS)
            mouth.sendto(b"?", str(folder / str(pid)))
            found: dict[str, Any] = msgspec.json.decode(mouth.recv(_ANSWER_MOST))
            return found
    except (OSError, msgspec.DecodeError):
        return None
    finally:
        own.unlink(missing_ok=True)
