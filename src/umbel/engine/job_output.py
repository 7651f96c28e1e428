"""What a job prints, on the worker's console: whole lines, each with its job.

Celery's redirection logs every piece that ``print`` writes as a line of its own, and does not say whose it is. This
takes its place at Celery's own plug-in point (``log_cls``), under the same logger, level and settings.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
import weakref
from typing import Any, Final, TextIO

from celery._state import get_current_task
from celery.app import log
from celery.utils.log import ColorFormatter, mlevel

from umbel.engine import console
from umbel.engine.execution import current_execution
from umbel.engine.job_log import keep_lines
from umbel.engine.log_lines import FACTS, JsonLines, TextLines

__all__ = ("JobOutput", "Logging")

#: A line that never ends is cut here, in characters.
_LONGEST: Final = 8192
#: So many beginnings of lines of gathered children are kept; above that they are dropped.
_CHILDREN: Final = 1000


class _ColouredLines(TextLines, ColorFormatter):
    """Celery's colours by severity, around what is nothing but text."""


class Logging(log.Logging):
    """Celery's logging set-up, with :class:`JobOutput` for what is printed, and JSON where that is asked for."""

    def setup_handlers(
        self, logger: Any, logfile: Any, format: Any, colorize: Any, formatter: Any = _ColouredLines, **options: Any
    ) -> Any:
        """Set up a logger as Celery does, with the formatter that the settings ask for."""
        if self.app.settings.log_format == "json":
            formatter = JsonLines
            console.install(as_json=True)
        return super().setup_handlers(logger, logfile, format, colorize, formatter=formatter, **options)

    def setup_logging_subsystem(self, *args: Any, **kwargs: Any) -> Any:
        """Set up the worker's logs as Celery does, and keep what jobs log (:mod:`umbel.engine.job_log`)."""
        receivers = super().setup_logging_subsystem(*args, **kwargs)
        keep_lines(self.app)
        return receivers

    def redirect_stdouts_to_logger(
        self, logger: logging.Logger, loglevel: Any = None, stdout: bool = True, stderr: bool = True
    ) -> Any:
        """Send what is printed to ``logger``."""
        output = JobOutput(logger, mlevel(loglevel) or logging.WARNING, sys.__stderr__ or sys.stderr)
        if stdout:
            sys.stdout = output
        if stderr:
            sys.stderr = output
        return output


class JobOutput(io.TextIOBase):
    """A text stream that logs whole lines under the job that runs where they are written.

    ``stream`` is what it stands for: its descriptor, and where the log's own errors go.
    """

    def __init__(self, logger: logging.Logger, level: int, stream: TextIO) -> None:
        self._logger = logger
        self._level = level
        self._stream = stream
        self._lock = threading.Lock()
        self._busy = threading.local()
        self._rests: weakref.WeakKeyDictionary[Any, _Rest] = weakref.WeakKeyDictionary()
        self._children: dict[str, _Rest] = {}
        self._outside = _Rest("")

    def write(self, text: str) -> int:
        """Log the lines that ``text`` completes."""
        if getattr(self._busy, "now", False):
            # Logging has failed and says so: logging that would not end.
            return self._stream.write(text)
        rest = self._rest()
        with self._lock:
            lines = rest.take(text)
        self._log(rest.label, lines)
        return len(text)

    def flush(self) -> None:
        """Log what was written outside of jobs; a job's unfinished line waits for its end."""
        with self._lock:
            lines = self._outside.rest()
        self._log("", lines)

    def isatty(self) -> bool:
        """It is a log."""
        return False

    def fileno(self) -> int:
        """The descriptor beneath, for whoever starts other programs."""
        return self._stream.fileno()

    @property
    def buffer(self) -> Any:
        """The bytes beneath, for whoever writes bytes."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the stream beneath."""
        return self._stream.encoding or "utf-8"

    def _rest(self) -> _Rest:
        task = get_current_task()
        request = task.request if task is not None else None
        if task is None or request is None or not request.id:
            return self._rest_of_child()
        with self._lock:
            found = self._rests.get(request)
            if found is None:
                found = self._rests[request] = _Rest(f"{task.name}[{request.id}] ")
                # Its last line may have no end: it comes when the job has gone.
                weakref.finalize(request, self._finish, found).atexit = False
        return found

    def _rest_of_child(self) -> _Rest:
        # What a job has gathered runs outside of Celery's stack of tasks, but in the job's context.
        execution = current_execution.get()
        if execution is None or execution.task is None:
            return self._outside
        label = f"{execution.task}[{execution.delivery.task_id}] "
        with self._lock:
            if len(self._children) >= _CHILDREN:
                self._children.clear()
            return self._children.setdefault(label, _Rest(label))

    def _finish(self, rest: _Rest) -> None:
        self._log(rest.label, rest.rest())

    def _log(self, label: str, lines: list[str]) -> None:
        if not lines or not self._logger.isEnabledFor(self._level):
            return
        self._busy.now = True
        try:
            for line in lines:
                record = self._logger.makeRecord(
                    self._logger.name, self._level, "(job)", 0, "%s%s", (label, line), None
                )
                # Celery's level for prints is WARNING, so that they are seen; but nobody warns here.
                record.levelname = "PRINT"
                _tell_apart(record, label, line)
                self._logger.handle(record)
        finally:
            self._busy.now = False


def _tell_apart(record: logging.LogRecord, label: str, line: str) -> None:
    """Let a record that says in fields whose it is leave that out of its text."""
    if not hasattr(record, FACTS):
        return
    record.msg, record.args = "%s", (line,)
    if getattr(record, FACTS) is None and label:
        # The end of a line whose job has gone.
        task, _, rest = label.partition("[")
        setattr(record, FACTS, {"job": rest.rstrip("] "), "task": task})


class _Rest:
    """The beginning of a line whose end has not been written yet."""

    __slots__ = ("_text", "label")

    def __init__(self, label: str) -> None:
        self.label = label
        self._text = ""

    def take(self, text: str) -> list[str]:
        """Add ``text`` and return the lines that are complete; blank ones say nothing in a log."""
        *lines, self._text = (self._text + text).split("\n")
        if len(self._text) > _LONGEST:
            lines.append(self._text)
            self._text = ""
        return [line.rstrip("\r") for line in lines if line.strip()]

    def rest(self) -> list[str]:
        """Return what has no end yet, as a line, and forget it."""
        text, self._text = self._text, ""
        return [text] if text.strip() else []
