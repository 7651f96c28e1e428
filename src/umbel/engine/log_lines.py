"""How Umbel's processes log: lines for people, or with ``UMBEL_LOG_FORMAT=json`` one JSON object a line.

An object has ``time`` (UTC), ``level``, ``logger``, ``message``; in a job ``job``, ``task``, ``queue`` and
``attempt``, which counts from 1; while OpenTelemetry follows it ``trace_id`` and ``span_id``; of an exception ``error``
with its type, message and traceback; and what ``extra=`` has given. Imports neither the application nor Celery: the
supervisor logs so.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from umbel.plain_text import block

__all__ = ("FACTS", "FORMAT", "JsonLines", "TextLines", "begin", "wants_json")

FORMAT: Final = "%(asctime)s %(levelname)-7s %(message)s"
#: Where a record has what is known of its job.
FACTS: Final = "umbel_facts"
_VARIABLE: Final = "UMBEL_LOG_FORMAT"
#: What every record has, and what Celery adds: its ``data`` shows arguments.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    *("message", "asctime", "taskName", "job", "data", FACTS),
    *("task_id", "task_name"),
}
_EXTRA_MOST: Final = 50
_TEXT_MOST: Final = 32_768


class TextLines(logging.Formatter):
    """Formats records as text for people: none begins a line but its own, and nothing in it commands a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line; where a message has several, those after the first stand further in."""
        text = super().formatMessage(record)
        return text if text.isprintable() else block(text).replace("\n", "\n  ")

    def formatException(self, ei: Any) -> str:
        """Return the traceback."""
        return block(super().formatException(ei))


class JsonLines(logging.Formatter):
    """Formats records as JSON objects. Takes what Celery gives a formatter, and needs none of it."""

    def __init__(self, format: str | None = None, datefmt: str | None = None, **_: Any) -> None:
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
            **_facts(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["error"] = _error(*record.exc_info[:2])
        given = [(key, value) for key, value in vars(record).items() if key not in _USUAL and key not in said]
        said.update(given[:_EXTRA_MOST])
        return json.dumps(said, default=_as_text, ensure_ascii=False, skipkeys=True)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    known: dict[str, Any] | None = getattr(record, FACTS, None)
    if known is not None:
        return known
    # Celery's own lines about a job are written outside of it.
    data = getattr(record, "data", None)
    if isinstance(data, dict) and data.get("id"):
        return {"job": str(data["id"]), "task": str(data.get("name"))}
    return {}


def _error(kind: Any, error: Any) -> dict[str, str]:
    lines = traceback.format_exception(kind, error, error.__traceback__) if error is not None else []
    return {
        "type": f"{kind.__module__}.{kind.__qualname__}",
        "message": _cut(str(error)),
        "traceback": _cut("".join(lines)),
    }


def _as_text(value: Any) -> str:
    try:
        return _cut(str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_MOST else f"{text[: _TEXT_MOST - 1]}…"


def wants_json() -> bool:
    """Whether ``UMBEL_LOG_FORMAT`` asks for JSON, in the environment or in ``.env``: where there are no settings."""
    value = os.environ.get(_VARIABLE)
    if value is None and Path(".env").is_file():
        from dotenv import dotenv_values

        value = dotenv_values(".env").get(_VARIABLE)
    return (value or "").strip().lower() == "json"


def begin(level: str | int) -> None:
    """Log to stderr from now on, in a process without Celery's own logging."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if wants_json() else TextLines(FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
