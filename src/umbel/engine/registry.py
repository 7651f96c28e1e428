"""One engine object a store and process, found by URL."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from umbel.engine.sqlite import SQLiteEngine
from umbel.errors import ConfigurationError

__all__ = ("is_embedded", "open_engine", "sqlite_path")

_ENGINES: Final[dict[Path, SQLiteEngine]] = {}
_LOCK: Final = threading.Lock()


def is_embedded(url: str | None) -> bool:
    """Whether ``url`` names the embedded engine."""
    return bool(url) and str(url).partition(":")[0] == SQLiteEngine.scheme


def sqlite_path(url: str) -> Path:
    """Return the file of a ``sqlite:`` URL: ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
    parts = urlsplit(url)
    name = unquote(parts.path)[1:]
    if parts.scheme != SQLiteEngine.scheme or parts.netloc or not name:
        raise ConfigurationError(
            f"{url!r} does not name a SQLite file: write sqlite:////absolute/path/jobs.db (four slashes) "
            "or sqlite:///relative/jobs.db (three)."
        )
    return Path(name).resolve()


def open_engine(url: str, *, durability: str = "normal", crash_limit: int = 3) -> SQLiteEngine:
    """Return this process's engine for ``url``; the first caller's options hold."""
    path = sqlite_path(url)
    with _LOCK:
        engine = _ENGINES.get(path)
        if engine is None:
            engine = _ENGINES[path] = SQLiteEngine(path, durability=durability, crash_limit=crash_limit)
        return engine
