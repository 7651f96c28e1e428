"""Processes that die at every step of a scenario, each step in a process of its own.

A step is whatever calls :meth:`Killer.reach`: a line of code that is traced, a statement that SQLAlchemy sends, a call
that has been wrapped. What is imported is imported once, and a process is forked for each step, so nothing may be open
before: run it in a program of its own, as :mod:`tests.integration.outbox.killing` does.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from types import CodeType, FrameType
from typing import Any, Final, NoReturn, TypeVar

__all__ = ("Killer", "die_at_each_step", "forked", "forked_together")

F = TypeVar("F", bound=Callable[..., Any])

_SQL_MOMENTS: Final = ("begin", "before_cursor_execute", "rollback", "commit")
_ALIVE_SECONDS: Final = 60


class Killer:
    """Kills this process when it reaches its ``step``-th step; with 0 never."""

    def __init__(self, step: int) -> None:
        self._left = step
        self._lock = threading.Lock()

    def reach(self, *_: Any, **__: Any) -> None:
        """A step."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: F) -> F:
        """Return ``call`` with a step before and after it."""

        def step(*args: Any, **kwargs: Any) -> Any:
            self.reach()
            found = call(*args, **kwargs)
            self.reach()
            return found

        return step  # type: ignore[return-value]

    def watch_calls(self, owner: Any, *names: str) -> None:
        """Let each call of these methods or functions of ``owner`` be two steps."""
        for name in names:
            setattr(owner, name, self.around(getattr(owner, name)))

    def watch_sql(self) -> None:
        """Let each statement, commit and rollback of SQLAlchemy be a step, just before it."""
        from sqlalchemy import Engine, event

        for moment in _SQL_MOMENTS:
            event.listen(Engine, moment, self.reach)

    def watch_lines(self, *files: str, functions: Collection[Any] = ()) -> None:
        """Let each line be a step, of files by how their names end, and of functions; in all threads."""
        # What was asked once about a piece of code: there are many calls, and few pieces.
        watched = dict.fromkeys((code for one in functions for code in _codes(one.__code__)), True)

        def line(frame: FrameType, what: str, _: Any) -> Any:
            if what == "line":
                self.reach()
            return line

        def trace(frame: FrameType, what: str, _: Any) -> Any:
            code = frame.f_code
            if code not in watched:
                watched[code] = code.co_filename.endswith(files or ("\0",))
            return line if watched[code] else None

        threading.settrace(trace)
        sys.settrace(trace)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """The code of a function, and of those inside it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from _codes(one)


def forked(work: Callable[[], object]) -> int:
    """Do ``work`` in a forked process; return how it ended: 0, or minus the signal, or 1 for an exception."""
    pid = os.fork()
    if pid == 0:
        _end(work)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def die_at_each_step(
    run: Callable[[int, Killer], object], then: Callable[[int], object] | None = None, *, every: int = 1
) -> int:
    """Run until a process gets through, the first one killed at its first step, the next at its second, and so on.

    ``then``: what another process does after each death, and after the one that lived. ``every``: only each so many-th
    step. Returns how many were killed. Raises :exc:`AssertionError` when one ends in another way.
    """
    kills, step = 0, 1
    while True:
        ended = forked(partial(run, step, Killer(step)))
        assert ended in (0, -signal.SIGKILL), f"step {step} ended with {ended}"
        if then is not None:
            after = forked(partial(then, step))
            assert after == 0, f"what came after step {step} ended with {after}"
        if ended == 0:
            return kills
        kills, step = kills + 1, step + every


def forked_together(works: Sequence[Callable[[], object]], *, seconds: int = _ALIVE_SECONDS) -> list[int]:
    """Do each of ``works`` in a forked process of its own, all at the same time; return how they ended.

    ``seconds``: how long each may live.
    """
    begins, begin = os.pipe()
    pids = []
    for work in works:
        pid = os.fork()
        if pid == 0:
            os.close(begin)
            # Until nobody can write: then all go on at once.
            os.read(begins, 1)
            _end(work, seconds)
        pids.append(pid)
    os.close(begins)
    os.close(begin)
    ended: list[int] = []
    try:
        for pid in pids:
            ended.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    except BaseException:
        for pid in pids[len(ended) :]:
            os.kill(pid, signal.SIGKILL)
        raise
    return ended


def _end(work: Callable[[], object], seconds: int = _ALIVE_SECONDS) -> NoReturn:
    signal.alarm(seconds)
    try:
        work()
    except BaseException:
        sys.settrace(None)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
