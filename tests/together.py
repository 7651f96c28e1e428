"""Which tests run in one process of ``pytest -n 6 --dist loadgroup``: those that share something dear, started once.

xdist has this by itself, and has it no more with pytest 9.2: it writes the groups behind the tests' ids, where pytest
does not look any longer. Here each process of tests writes down the groups of what it has collected, and the scheduler
reads them. Without it each of six processes would start every worker, broker and server that tests share.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

__all__ = ("Together", "write_down")


class Together(LoadScopeScheduling):
    """Sends the tests of a group to one process, the largest groups first; any other test goes where there is room."""

    _groups: dict[str, str] | None = None

    def _split_scope(self, nodeid: str) -> str:
        if self._groups is None:
            path = _path(self.config.pluginmanager.get_plugin("dsession").nodemanager.testrunuid)
            self._groups = json.loads(path.read_text())
            path.unlink()
        return self._groups.get(nodeid, nodeid)


def write_down(config: Any, items: list[pytest.Item]) -> None:
    """Say in a process of tests, before its scheduler hears of them, which of ``items`` belong together."""
    groups: dict[str, str] = {}
    for item in items:
        mark = item.get_closest_marker("xdist_group")
        if mark is not None:
            groups[item.nodeid] = str(mark.args[0])
    path = _path(config.workerinput["testrunuid"])
    # All processes write the same.
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(groups))
    fresh.replace(path)


def _path(run: str) -> Path:
    return Path(tempfile.gettempdir()) / f"umbel-tests-{run}.json"
