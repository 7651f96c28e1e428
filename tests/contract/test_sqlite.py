"""The embedded engine keeps the engines' contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from umbel.testing.contract import EngineContract


class TestSQLite(EngineContract):
    """C8, C9, C14–C18, C22, C35 on SQLite."""

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path}/store/jobs.db"
