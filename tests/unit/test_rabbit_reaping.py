"""Whoever reaps beside RabbitMQ lets go of a dead process's lock when the state store is lost meanwhile (C14)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from umbel.engine.lease import Abandoned
from umbel.engine.rabbit import RabbitEngine
from umbel.errors import StoreUnreachable


def reaping(tmp_path: Path, release: Any, closed: list[bool]) -> tuple[Any, Path]:
    """Return an engine that finds one dead process, and the file of its lease."""
    path = tmp_path / "dead.lease"
    path.touch()
    dead = Abandoned(SimpleNamespace(path=path, close=lambda: closed.append(True)), ())  # type: ignore[arg-type]
    leases = SimpleNamespace(all=lambda: [SimpleNamespace(token="dead")], abandoned=lambda _: dead)
    engine: Any = object.__new__(RabbitEngine)
    engine._here, engine.crash_limit = (lambda: None), 3
    engine.state = SimpleNamespace(leases=leases, release=release)
    return engine, path


def test_c14_the_lock_of_the_dead_is_let_go_of_when_the_state_store_is_lost(tmp_path: Path) -> None:
    closed: list[bool] = []

    def release(*_: Any, **__: Any) -> int:
        raise StoreUnreachable("redis://host", "refused")

    engine, path = reaping(tmp_path, release, closed)
    with pytest.raises(StoreUnreachable):
        engine.reap("dead")
    assert closed
    assert path.exists(), "nobody would know what had started"


def test_c14_the_lease_of_the_dead_goes_once_the_state_store_knows(tmp_path: Path) -> None:
    closed: list[bool] = []
    engine, path = reaping(tmp_path, lambda *_, **__: 2, closed)
    assert engine.reap("dead") == 2
    assert closed
    assert not path.exists()
