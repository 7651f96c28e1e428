"""While its store is away a supervisor says so once, though some questions are answered without the server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from umbel.engine import registry
from umbel.engine.supervisor import Supervisor, SupervisorOptions
from umbel.errors import StoreUnreachable


def test_an_outage_is_over_when_every_question_is_answered(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = True

    def renew(_: Any) -> None:
        if away:
            raise StoreUnreachable("redis://host", "refused")

    engine = SimpleNamespace(renew=renew, suspects=lambda _: 0)
    monkeypatch.setattr(registry, "open_engine", lambda *_, **__: engine)
    supervisor = Supervisor(SupervisorOptions(app="shop"))
    supervisor.processes, supervisor._url = 0, "redis://host"

    def look() -> list[str]:
        caplog.clear()
        supervisor._next_check = 0.0
        supervisor._keep_up()
        return [record.levelname for record in caplog.records]

    assert [look(), look(), look()] == [["ERROR"], [], []]
    away = False
    assert [look(), look()] == [["WARNING"], []]


def test_the_dead_are_reaped_when_the_store_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who died of what is known to the supervisor alone."""
    away, reaped = True, []

    def reap(lease: str, *, crashed: bool, overdue: list[int]) -> int:
        if away:
            raise StoreUnreachable("redis://host", "refused")
        reaped.append((lease, crashed, overdue))
        return 0

    engine = SimpleNamespace(reap=reap, renew=lambda _: None, suspects=lambda _: 0)
    monkeypatch.setattr(registry, "open_engine", lambda *_, **__: engine)
    supervisor = Supervisor(SupervisorOptions(app="shop"))
    supervisor.processes, supervisor._url = 0, "redis://host"
    supervisor._dead = [
        (SimpleNamespace(lease="one", overdue=[7], role="worker"), False),  # type: ignore[list-item]
        (SimpleNamespace(lease=None, overdue=[], role="worker"), True),  # type: ignore[list-item]
        (SimpleNamespace(lease="two", overdue=[], role="suspects"), True),  # type: ignore[list-item]
    ]

    def look() -> None:
        supervisor._next_check = 0.0
        supervisor._keep_up()
        supervisor._reap_dead()

    look()
    assert (reaped, len(supervisor._dead)) == ([], 3)
    away = False
    look()
    assert (reaped, supervisor._dead) == ([("one", False, [7]), ("two", True, [])], [])
