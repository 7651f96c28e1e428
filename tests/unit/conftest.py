"""An application on a store of its own, with no worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import _state

from umbel import Settings, Umbel


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture(autouse=True)
def _own_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery gives an application's tasks to all others of the process: here each test has its own."""
    monkeypatch.setattr(_state, "_on_app_finalizers", set(_state._on_app_finalizers))


@pytest.fixture
def make_app(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Umbel]]:
    """Make applications on the test's store, with settings of their own."""
    monkeypatch.chdir(tmp_path)
    made: list[Umbel] = []

    def make(broker: str | None = url, **settings: Any) -> Umbel:
        made.append(Umbel("shop", broker=broker, settings=Settings.load(**settings), set_as_current=False))
        return made[-1]

    yield make
    for app in made:
        if str(app.conf.broker_url).startswith("sqlite:"):
            app.engine.close()
        app.close()


@pytest.fixture
def jobs(make_app: Callable[..., Umbel]) -> Umbel:
    """An application."""
    return make_app()
