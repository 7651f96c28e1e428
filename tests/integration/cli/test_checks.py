"""umbel doctor's checks, one by one: C4, limits, results, and the embedded engine's file."""

from __future__ import annotations

import os
import sqlite3
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from umbel import Umbel
from umbel.cli import checks
from umbel.cli.checks import Finding, check_file, check_limits, check_queues, check_redis, check_results
from umbel.engine.store import QueueStatus, WorkerStatus


def app(**settings: Any) -> Celery:
    made = Celery("shop", set_as_current=False, broker="memory://")
    made.conf.update(task_default_queue="default", task_create_missing_queues=True, **settings)
    return made


def engine(consumed: tuple[str, ...] = (), waiting: dict[str, int] | None = None) -> Any:
    workers = [WorkerStatus(1, "w@h", 2, consumed, 10, 0.0, 0)] if consumed else []
    queues = [QueueStatus(name, count, 0, 0, 0, int(name in consumed)) for name, count in (waiting or {}).items()]
    return SimpleNamespace(workers=lambda: workers, queues=lambda: queues)


def work() -> None:
    """A job's body."""


def problems(findings: Any) -> list[str]:
    return [finding.text for finding in findings if finding.level == "problem"]


def test_queues_without_consumer_are_named_with_who_publishes_c4() -> None:
    shop = app(
        task_routes={"shop.video": {"queue": "video"}, "shop.m*": "mail"},
        beat_schedule={"nightly": {"task": "shop.report", "schedule": 60, "options": {"queue": "night"}}},
    )
    shop.task(name="shop.mail", shared=False)(work)
    shop.task(name="shop.video", shared=False)(work)
    shop.finalize()
    found = problems(check_queues(shop, engine(("default",), {"old": 3, "empty": 0})))
    assert [text.split("'")[1] for text in found] == ["mail", "night", "old", "video"]
    assert "used by shop.mail" in found[0]
    assert "umbel worker -Q mail" in found[0]
    assert "used by schedule nightly" in found[1]
    assert "3 jobs wait in it" in found[2]
    everything = check_queues(shop, engine(("default", "mail", "night", "old", "video"), {"old": 3}))
    assert problems(everything) == []


def test_declared_queues_count_too_c4() -> None:
    from kombu import Queue

    shop = app(task_queues=[Queue("declared")])
    assert any("'declared'" in text for text in problems(check_queues(shop, engine(("default",)))))


def test_no_worker_at_all_is_a_problem_c4() -> None:
    assert any("'default'" in text for text in problems(check_queues(app(), engine())))


def test_limits() -> None:
    shop = app(task_time_limit=30, task_soft_time_limit=20)
    assert problems(check_limits(shop)) == []
    shop.task(name="shop.wrong", time_limit=10, shared=False)(work)
    shop.finalize()
    assert problems(check_limits(shop)) == ["shop.wrong: its soft limit 20 s is not below its hard limit 10 s."]
    assert [finding.level for finding in check_limits(app())] == ["note"]


def test_a_hard_limit_below_the_applications_soft_one_is_no_problem_of_umbels(project: Path) -> None:
    """The soft limit that an application has by default is not for tasks with a limit of their own."""
    shop = Umbel("shop")
    shop.task(name="shop.quick", time_limit=10, shared=False)(work)
    assert problems(check_limits(shop)) == []
    assert shop.tasks["shop.quick"].soft_time_limit is None


@pytest.mark.parametrize(
    ("expires", "level"),
    [(3600, "ok"), (timedelta(days=1), "ok"), (None, "note"), (0, "note"), (timedelta(days=30), "note")],
)
def test_results(expires: Any, level: str) -> None:
    assert [finding.level for finding in check_results(app(result_expires=expires))] == [level]


@pytest.mark.parametrize(
    ("settings", "levels"),
    [
        ({"maxmemory-policy": "noeviction", "maxmemory": "0", "appendonly": "yes"}, ["ok"]),
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "1000000", "appendonly": "yes"}, ["problem"]),
        ({"maxmemory-policy": "allkeys-lru", "maxmemory": "0", "appendonly": "no"}, ["note"]),
        ({}, ["note"]),
    ],
)
def test_c14_a_redis_that_loses_keys(settings: dict[str, str], levels: list[str]) -> None:
    assert [finding.level for finding in check_redis(settings)] == levels


def test_c14_a_real_redis_is_asked(redis_url: str) -> None:
    texts = [finding.text for finding in check_redis(Umbel("shop", broker=redis_url).engine.server_settings())]  # type: ignore[attr-defined]
    assert any("appendonly no" in text for text in texts)


def test_a_good_file(tmp_path: Path) -> None:
    path = tmp_path / "umbel.db"
    assert problems(check_file(path)) == []
    path.touch(0o600)
    before = sorted(tmp_path.iterdir())
    assert problems(check_file(path)) == []
    assert sorted(tmp_path.iterdir()) == before


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = tmp_path / "umbel.db"
    path.touch()
    path.chmod(0o644)
    (found,) = problems(check_file(path))
    assert "Others may read" in found
    assert f"chmod 600 {path}" in found


def test_a_file_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (found,) = problems(check_file(tmp_path / "umbel.db"))
    assert "cannot be written by this user" in found


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(checks, "_file_system", lambda folder: kind)
    (found,) = problems(check_file(tmp_path / "umbel.db"))
    assert f"network file system ({kind})" in found


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        f"2 1 0:40 / {str(tmp_path / 'my share').replace(' ', chr(92) + '040')} rw master:1 - nfs4 server:/x rw",
        "3 1 0:41 / /elsewhere rw - tmpfs tmpfs rw",
    ]
    monkeypatch.setattr(Path, "read_text", lambda self, **options: "\n".join(lines))
    assert checks._file_system(tmp_path / "my share" / "deep") == "nfs4"
    assert checks._file_system(tmp_path) == "ext4"


@pytest.mark.parametrize(("free", "level"), [(50 * 2**20, "problem"), (500 * 2**20, "note"), (50 * 2**30, "ok")])
def test_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda folder: usage(2**40, 0, free))
    found = [finding for finding in check_file(tmp_path / "umbel.db") if "free in" in finding.text]
    assert [finding.level for finding in found] == [level]


def test_a_disk_without_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise sqlite3.OperationalError("locking protocol")

    monkeypatch.setattr(checks.sqlite3, "connect", refuse)
    (found,) = problems(check_file(tmp_path / "umbel.db"))
    assert "SQLite cannot work in" in found


def test_several_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(version: str, place: str) -> Any:
        return SimpleNamespace(metadata={"Name": "umbel"}, version=version, locate_file=lambda name: Path(place))

    monkeypatch.setattr(checks, "distributions", lambda: [copy("1.0", "/a"), copy("1.1", "/b"), copy("1.1", "/b")])
    (found,) = checks.check_versions()
    assert found.level == "problem"
    assert "1.0 in /a, 1.1 in /b" in found.text
    monkeypatch.setattr(checks, "distributions", list)
    assert [type(found) for found in checks.check_versions()] == [Finding]
