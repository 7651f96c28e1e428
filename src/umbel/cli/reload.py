"""Notice that source files changed, for ``--reload`` while developing.

Polls the modification times of the ``*.py`` files below a folder: no dependency, and it works on every file system
and in containers. Costs one ``stat`` a file each second; at most 20,000 files are watched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from umbel.cli.console import remark

__all__ = ("Sources", "watch")

_FILES: Final = 20_000
_SKIPPED: Final = frozenset({"node_modules", "site-packages", "__pycache__"})


class Sources:
    """The ``*.py`` files below ``root`` as they were when last looked at."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._seen = self._scan()

    def changes(self) -> list[Path]:
        """Return the files that were written, added or removed since the last call."""
        now = self._scan()
        before, self._seen = self._seen, now
        return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))

    def _scan(self) -> dict[Path, int]:
        found: dict[Path, int] = {}
        for path in self._files():
            if len(found) >= _FILES:
                break
            try:
                found[path] = path.stat().st_mtime_ns
            except OSError:
                continue
        return found

    def _files(self) -> Iterator[Path]:
        for folder, folders, files in os.walk(self._root):
            folders[:] = sorted(name for name in folders if _is_watched(folder, name))
            for name in files:
                if name.endswith(".py"):
                    yield Path(folder, name)


def _is_watched(folder: str, name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED and not Path(folder, name, "pyvenv.cfg").exists()


def watch(root: Path, changed: Callable[[], None], stop: threading.Event, *, interval: float = 1.0) -> None:
    """Call ``changed`` whenever the sources below ``root`` changed and compile, until ``stop`` is set.

    A file that does not compile is named on stderr, and nothing is reloaded until it does.
    """
    sources = Sources(root)
    while not stop.wait(interval):
        paths = sources.changes()
        if not paths:
            continue
        broken = [problem for path in paths if (problem := _problem(path, root))]
        if broken:
            remark(f"Not reloaded: {'; '.join(broken)}")
            continue
        listed = ", ".join(str(path.relative_to(root)) for path in paths[:3])
        remark(f"Reloading: {listed}{' and more' if len(paths) > 3 else ''} changed")
        changed()


def _problem(path: Path, root: Path) -> str | None:
    try:
        compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except FileNotFoundError:
        return None
    except SyntaxError as error:
        return f"{path.relative_to(root)}, line {error.lineno}: {error.msg}"
    except (OSError, ValueError) as error:
        return f"{path.relative_to(root)}: {error}"
    return None
