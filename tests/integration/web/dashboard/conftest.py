"""Sites on a store of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.integration.web.dashboard.visitor import OPERATOR, VIEWER, Visitor, application
from umbel.monitor.history import History
from umbel.web.lifespan import close_pools


@pytest.fixture(scope="session")
def made_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history with its tables: making them takes longer than most tests."""
    path = tmp_path_factory.mktemp("dashboard") / "history.db"
    History(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def site(tmp_path: Path, made_history: Path) -> Iterator[Callable[..., FastAPI]]:
    """Make sites: keywords are settings, ``web`` holds what goes to ``jobs.web()``. Tokens are set unless said."""
    made = []
    shutil.copy(made_history, tmp_path / "history.db")

    def make(web: dict[str, Any] | None = None, **settings: Any) -> FastAPI:
        tokens = {"web_token": OPERATOR, "web_viewer_token": VIEWER}
        app = application(tmp_path, **(tokens | settings))
        made.append(app)
        return app.web(**(web or {}))

    yield make
    for app in made:
        close_pools(app)


@pytest.fixture
def ann(site: Callable[..., FastAPI]) -> Visitor:
    """Somebody who is signed in as an operator."""
    visitor = Visitor(site())
    assert visitor.sign_in().status_code == 303
    return visitor


@pytest.fixture
def vic(site: Callable[..., FastAPI]) -> Visitor:
    """Somebody who is signed in as a viewer."""
    visitor = Visitor(site())
    assert visitor.sign_in(VIEWER, "vic").status_code == 303
    return visitor
