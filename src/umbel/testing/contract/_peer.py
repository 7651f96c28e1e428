"""Another process on the same store, which does what a test tells it and can be killed.

It is driven by lines of JSON: a method of :class:`umbel.engine.store.Engine` and its arguments, or ``unique``,
``lock``, ``slot`` and ``reserve`` for what stands beside it. ``drain`` is the one thing that it does by itself: fetch
and settle until a queue is empty.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final, Self

import msgspec

from umbel.engine import letters, store
from umbel.engine.registry import open_engine
from umbel.engine.store import Engine, Settled
from umbel.state.limits import Ask, Limit, Rule, Start
from umbel.state.locks import Grant

__all__ = ("Peer", "PeerError", "serve")

_KIND: Final = "kind"
_END_SECONDS: Final = 10.0
#: Shapes that do not stand in :mod:`umbel.engine.store`.
_KINDS: Final[dict[str, Any]] = {one.__name__: one for one in (Ask, Grant, Limit, Rule, Start)}
_SERVE: Final = f"import sys; from {__name__} import serve; serve(sys.argv[1], int(sys.argv[2]))"


class PeerError(AssertionError):
    """What was asked of the other process failed there."""


class Peer:
    """A process that opens the store by its URL; it holds a lease on ``queues`` if there are any."""

    def __init__(self, url: str, *queues: str, crash_limit: int = 3, prefix: Sequence[str] = ()) -> None:
        """``prefix``: what its command begins with."""
        command = [*prefix, sys.executable, "-c", _SERVE, url, str(crash_limit)]
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}, text=True
        )
        self.token: str = ""
        if queues:
            self.token = self.call("open_lease", f"peer-{self.pid}@test", list(queues), 4)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the engine there and return what it returned."""
        self.ask(method, *args, **kwargs)
        return self.answer()

    def ask(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Ask, without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([method, _packed(args), _packed(kwargs)]) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Wait for the answer. Raises :exc:`PeerError`."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"The other process ended with {self._process.wait(_END_SECONDS)}.")
        worked, value = json.loads(line)
        if not worked:
            raise PeerError(value)
        return _unpacked(value)

    def pause(self) -> None:
        """Stop the process (SIGSTOP), and return when it stands still."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def proceed(self) -> None:
        """Let a stopped process go on."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kill the process and wait until it is gone."""
        self._process.kill()
        self._process.wait(_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _packed(value: Any) -> Any:
    names = _fields_of(value)
    if names is not None:
        return {_KIND: type(value).__name__, **{name: _packed(getattr(value, name)) for name in names}}
    if isinstance(value, dict):
        return {key: _packed(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(one) for one in value]
    return value


def _fields_of(value: Any) -> tuple[str, ...] | None:
    """Return the names of the fields of one of the engine's shapes; None for anything else."""
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return tuple(field.name for field in dataclasses.fields(value))
    return None


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(one) for one in value]
    if not isinstance(value, dict):
        return value
    fields = {key: _unpacked(one) for key, one in value.items()}
    kind = fields.pop(_KIND, None)
    if kind is None:
        return fields
    shape = _KINDS.get(kind) or getattr(store, kind, None) or getattr(letters, kind)
    return shape(**fields)


def drain(engine: Engine, queue: str, batch: int) -> list[str | None]:
    """Fetch and settle until nothing of ``queue`` waits or is held; return the ids that were fetched."""
    ids: list[str | None] = []
    while True:
        found = engine.fetch({queue: 0}, batch)
        if found:
            ids += [delivery.task_id for delivery in found]
            engine.settle([Settled(delivery.seq, "ack") for delivery in found])
        elif not any(status.ready or status.leased for status in engine.queues() if status.name == queue):
            return ids
        else:
            time.sleep(0.001)


def _done(engine: Engine, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    if method == "drain":
        return drain(engine, *args)
    calls: dict[str, Callable[..., Any]] = {
        "unique": engine.uniques.enqueue,
        "lock": engine.locks.acquire,
        "slot": engine.slots.acquire,
        "reserve": engine.limits.reserve,
    }
    # A name with a dot is of what belongs to the engine: letters.replay.
    return (calls.get(method) or attrgetter(method)(engine))(*args, **kwargs)


def serve(url: str, crash_limit: int) -> None:
    """Do what the lines of standard input ask for."""
    engine = open_engine(url, crash_limit=crash_limit)
    for line in sys.stdin:
        method, args, kwargs = json.loads(line)
        try:
            args = _unpacked(args)
            answer: tuple[bool, Any] = (True, _packed(_done(engine, method, args, _unpacked(kwargs))))
        except Exception as error:
            answer = (False, f"{type(error).__name__}: {error}")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
