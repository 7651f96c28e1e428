"""What a job logs and prints, kept with its execution and told with its end.

One handler of the worker's logging looks at which job a record comes from. So a job that logs nothing pays nothing, and
one that does pays some microseconds a line beside what its worker's log costs. What is kept is bounded: the first lines
and the last ones, and how many were between. Lines of a job that runs are seen by asking its worker
(:mod:`umbel.engine.live`); those of a process that was killed are lost with it.

Values of sensitive arguments are hidden in it. Where everything is encrypted, nothing is kept.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from celery._state import get_current_task

from umbel.engine.execution import current_execution
from umbel.state.events import Line, Lines

__all__ = ("JobLog", "Kept", "hide", "keep_lines", "kept_in_child", "told_of")

#: What is said about jobs, and not by them.
_NOT_THEIRS: Final = ("celery.app.trace", "celery.worker", "celery.pool", "celery.beat", "umbel.engine", "kombu")
#: Of those that have two: Celery's own for tasks passes nothing on.
_LOGGERS: Final = ("", "celery.task")
_LINE_MOST: Final = 4096
_NAME_MOST: Final = 200
_HIDDEN: Final = "***"
#: What is shorter than this says nothing, and hiding it would hide much else.
_HIDDEN_LEAST: Final = 4
_HIDDEN_MOST: Final = 100
_SEEN: Final = "umbel_line_kept"
_IN_CHILD: Final = "umbel_lines"


class Kept:
    """The lines of one execution, ``most`` at most and about ``most_bytes`` of text: half of them the first ones."""

    __slots__ = ("_bytes", "_first", "_hidden", "_last", "_lock", "_most", "_most_bytes", "_taken", "dropped")

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._first: list[Line] = []
        self._last: deque[Line] = deque()
        #: Of the first ones, and of the last.
        self._taken = self._bytes = 0
        self._hidden: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self.dropped = 0

    def hide(self, values: Iterable[str]) -> None:
        """Let none of ``values`` be read in any line from now on."""
        # Of two that overlap the longer one first.
        self._hidden = tuple(sorted({*self._hidden, *values}, key=len, reverse=True)[:_HIDDEN_MOST])

    def add(self, record: logging.LogRecord) -> None:
        """Keep a record, or what of it has room."""
        text = _text_of(record)
        if not text.isascii():
            # Lone surrogates cannot be told.
            text = text.encode(errors="replace").decode()
        for value in self._hidden:
            text = text.replace(value, _HIDDEN)
        longest = min(_LINE_MOST, self._most_bytes // 2)
        if len(text) > longest:
            text = text[: longest - 1] + "…"
        line = Line(record.created, record.levelname[:_NAME_MOST], record.name[:_NAME_MOST], text)
        with self._lock:
            self._put(line, len(text))

    def _put(self, line: Line, size: int) -> None:
        half, half_bytes = (self._most + 1) // 2, self._most_bytes // 2
        if not self._last and len(self._first) < half and self._taken + size <= half_bytes:
            self._first.append(line)
            self._taken += size
            return
        self._last.append(line)
        self._bytes += size
        while self._last and (len(self._last) > self._most - len(self._first) or self._bytes > half_bytes):
            self._bytes -= len(self._last.popleft().text)
            self.dropped += 1

    def told(self) -> Lines | None:
        """Return what is kept; None for nothing."""
        with self._lock:
            if not self._first and not self._last:
                return None
            return Lines((*self._first, *self._last), len(self._first), self.dropped)

    def newest(self, most: int) -> list[Line]:
        """Return the last lines."""
        with self._lock:
            return [*self._first, *self._last][-most:]


class JobLog(logging.Handler):
    """Keeps what jobs log in this process."""

    def __init__(self, most: int, most_bytes: int) -> None:
        super().__init__()
        self._most = most
        self._most_bytes = most_bytes

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep ``record`` if a job logs it. Each keeper has a lock of its own."""
        if record.name.startswith(_NOT_THEIRS) or _SEEN in record.__dict__:
            return True
        kept = self.here()
        if kept is not None:
            # A logger that passes on to another one brings it twice.
            record.__dict__[_SEEN] = True
            try:
                kept.add(record)
            except Exception:
                self.handleError(record)
        return True

    def here(self) -> Kept | None:
        """Return where the lines of the job go that runs here; None for no job."""
        execution = current_execution.get()
        if execution is not None:
            if execution.lines is None and not execution.closed:
                execution.lines = Kept(self._most, self._most_bytes)
            return execution.lines
        return self._in_child()

    def _in_child(self) -> Kept | None:
        task = get_current_task()
        request = task.request if task is not None else None
        if request is None or not request.id or request.called_directly or request.is_eager:
            return None
        known = request.__dict__.get(_IN_CHILD)
        # A nested request begins as a copy of the outer one.
        if known is None or known[0] != (os.getpid(), request.id):
            known = request.__dict__[_IN_CHILD] = ((os.getpid(), request.id), Kept(self._most, self._most_bytes))
            global _last
            _last = (request.id, known[1])
        kept: Kept = known[1]
        return kept


_handler: JobLog | None = None
#: Of the job that has logged last in a prefork child, which runs one at a time.
_last: tuple[str, Kept] | None = None


def keep_lines(app: Any) -> None:
    """Let this process, which is a worker's, keep what jobs log from now on."""
    global _handler
    settings = getattr(app, "settings", None)
    most = getattr(settings, "log_lines", 0)
    if not most or app.protection.encrypts:
        return
    if _handler is None:
        _handler = JobLog(most, settings.log_bytes if settings is not None else 0)
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _handler not in logger.handlers:
            logger.addHandler(_handler)


def kept_in_child() -> tuple[str, Kept] | None:
    """Return the id and the lines of the job that has logged last in this prefork child."""
    return _last


def told_of(request: Any) -> Lines | None:
    """Return what a job in a prefork child has logged."""
    known = getattr(request, "__dict__", {}).get(_IN_CHILD)
    kept: Kept | None = known[1] if known is not None else None
    return kept.told() if kept is not None else None


def hide(*values: Any) -> None:
    """Let none of the texts and numbers in ``values`` be read in what the job logs that runs here."""
    kept = _handler.here() if _handler is not None else None
    if kept is not None:
        kept.hide(text for value in values for text in _texts(value))


def _texts(value: Any, depth: int = 6) -> Iterator[str]:
    if isinstance(value, str):
        found = value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        found = str(value)
    else:
        inside = (
            value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple, set)) else ()
        )
        for one in inside if depth else ():
            yield from _texts(one, depth - 1)
        return
    if len(found) >= _HIDDEN_LEAST:
        yield found


def _text_of(record: logging.LogRecord) -> str:
    if record.levelname == "PRINT" and isinstance(record.args, tuple) and len(record.args) == 2:
        # Beside its job it needs not say whose it is.
        return str(record.args[1])
    text = record.getMessage()
    if record.exc_info:
        text += "\n" + (record.exc_text or _FORMATTER.formatException(record.exc_info))
    return text


_FORMATTER: Final = logging.Formatter()
