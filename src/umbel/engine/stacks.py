"""What runs just now, as a stack: the frames of a thread, or the awaits in which a coroutine stands.

Files, lines and functions with their line of source, and no value of any variable or argument. Costs nothing until
somebody asks, and some tens of microseconds then; what is asked about is not stopped or slowed.
"""

from __future__ import annotations

import asyncio
import linecache
import os
import sys
from collections.abc import Iterator, Sequence
from types import CodeType, FrameType
from typing import Any, Final

from msgspec import Struct

__all__ = ("FRAMES_MOST", "Frame", "Stack", "of_coroutine", "of_thread")

#: So many frames are shown, the innermost ones.
FRAMES_MOST: Final = 40
_CODE_MOST: Final = 200
_NAME_MOST: Final = 200
#: What lies between the worker and a job's own code: shown to nobody as long as it stands outermost.
_MACHINE: Final = tuple(
    f"{os.sep}{name}"
    for name in (
        f"umbel{os.sep}",
        f"celery{os.sep}",
        f"billiard{os.sep}",
        f"asyncio{os.sep}",
        f"greenlet{os.sep}",
        "threading.py",
        "contextvars.py",
        "runpy.py",
    )
)
_Place = tuple[CodeType, int]


class Frame(Struct, frozen=True, array_like=True, gc=False):
    """One line that waits for the next one to come back."""

    file: str
    line: int
    function: str
    code: str


class Stack(Struct, frozen=True, gc=False):
    """Where something stands, the outermost frame first."""

    frames: tuple[Frame, ...]
    #: How many frames further out are not shown.
    omitted: int = 0
    #: What the innermost one waits for, where that can be said.
    waits: str | None = None


def of_thread(ident: int) -> Stack:
    """Return the stack of a thread of this process; an empty one if that has ended."""
    return _shown(list(_frames(sys._current_frames().get(ident))))


def of_coroutine(coroutine: Any, task: asyncio.Task[Any] | None = None, thread: int | None = None) -> Stack:
    """Return the awaits in which ``coroutine`` stands. ``task`` drives it; ``thread`` is that of its loop."""
    if thread is not None and getattr(coroutine, "cr_running", False):
        return of_thread(thread)
    places = list(_awaits(coroutine))
    waiter = getattr(task, "_fut_waiter", None)
    return _shown(places + list(_beyond(waiter)), _said(waiter))


def _frames(frame: FrameType | None) -> Iterator[_Place]:
    found: list[_Place] = []
    while frame is not None:
        found.append((frame.f_code, frame.f_lineno or 0))
        frame = frame.f_back
    yield from reversed(found)


def _awaits(awaited: Any) -> Iterator[_Place]:
    for _ in range(10 * FRAMES_MOST):
        if awaited is None:
            return
        frame = next((found for name in _FRAME if (found := getattr(awaited, name, None)) is not None), None)
        if frame is not None:
            yield frame.f_code, frame.f_lineno or 0
        awaited = next((found for name in _AWAITS if (found := getattr(awaited, name, None)) is not None), None)


_FRAME: Final = ("cr_frame", "gi_frame", "ag_frame")
_AWAITS: Final = ("cr_await", "gi_yieldfrom", "ag_await")


def _beyond(waiter: Any) -> Iterator[_Place]:
    """Yield where that stands which is waited for: another task, or the first of those gathered that is not done."""
    children: Sequence[Any] = getattr(waiter, "_children", None) or [waiter]
    for child in children:
        if isinstance(child, asyncio.Task) and not child.done():
            yield from _awaits(child.get_coro())
            return


def _said(waiter: Any) -> str | None:
    children = getattr(waiter, "_children", None)
    if children:
        left = sum(not child.done() for child in children)
        return f"{left} of {len(children)} gathered"
    return "a task" if isinstance(waiter, asyncio.Task) else None


def _shown(places: Sequence[_Place], waits: str | None = None) -> Stack:
    own = next((at for at, (code, _) in enumerate(places) if not _is_machine(code.co_filename)), None)
    kept = places[-FRAMES_MOST:] if own is None else places[own:][-FRAMES_MOST:]
    return Stack(tuple(_frame(*place) for place in kept), len(places) - len(kept) - (own or 0), waits)


def _is_machine(file: str) -> bool:
    return file.startswith("<") or any(part in file for part in _MACHINE)


def _frame(code: CodeType, line: int) -> Frame:
    source = linecache.getline(code.co_filename, line).strip()
    return Frame(_short(code.co_filename), line, code.co_qualname[:_NAME_MOST], source[:_CODE_MOST])


def _short(file: str) -> str:
    """Return a file as it is imported, without the folder that it was found in."""
    for folder in sorted(filter(None, sys.path), key=len, reverse=True):
        if file.startswith(folder + os.sep):
            return file[len(folder) + 1 :][-_NAME_MOST:]
    return file[-_NAME_MOST:]
