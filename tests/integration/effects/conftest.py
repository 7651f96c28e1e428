"""A bank on each store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import _state

from tests.integration.effects.bank import Bank


@pytest.fixture(autouse=True)
def _own_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery gives an application's tasks to all others of the process: here each test has its own."""
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def bank(url: str, tmp_path: Path) -> Iterator[Bank]:
    made = Bank(url, tmp_path)
    made.make_tables()
    yield made
    made.close()
