"""What an application is without being told anything (C1)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from umbel import Umbel
from umbel.engine.registry import is_embedded, sqlite_path
from umbel.engine.sqlite import SQLiteEngine
from umbel.errors import ConfigurationError


@pytest.fixture
def plain(project: Path) -> Umbel:
    return Umbel("shop", set_as_current=False)


DEFAULTS: dict[str, Any] = {
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "timezone": "UTC",
    "enable_utc": True,
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_track_started": True,
    "task_time_limit": 1800,
    "task_soft_time_limit": 1200,
    "worker_concurrency": 10,
    "worker_prefetch_multiplier": 1,
    "worker_pool": "umbel.engine.pool:TaskPool",
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_c1_safe_defaults(plain: Umbel, name: str) -> None:
    assert plain.conf[name] == DEFAULTS[name]


def test_c1_results_are_kept_for_an_hour(plain: Umbel) -> None:
    assert plain.backend.expires == 3600


def test_c1_processes_are_recycled_by_jobs_and_by_memory(plain: Umbel) -> None:
    assert plain.conf.worker_max_tasks_per_child
    assert plain.conf.worker_max_memory_per_child


def test_c1_the_store_is_beside_the_project(plain: Umbel, project: Path) -> None:
    assert plain.store_path == project / ".umbel" / "umbel.db"

    @plain.task
    def greet() -> None: ...

    greet.delay()
    assert plain.store_path.is_file()
    assert (project / ".umbel" / ".gitignore").read_text() == "*\n"
    plain.engine.close()


def test_c1_processes_in_different_folders_share_it(project: Path) -> None:
    deep = project / "src" / "shop"
    deep.mkdir(parents=True)
    code = "from umbel import Umbel; print(Umbel('shop').store_path)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    paths = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=True
        ).stdout
        for folder in (project, deep)
    }
    assert paths == {f"{project}/.umbel/umbel.db\n"}


def test_c1_what_code_sets_beats_the_default(make_app: Callable[..., Umbel]) -> None:
    jobs = make_app()
    jobs.conf.task_time_limit = 5
    jobs.conf.update(worker_concurrency=3)
    assert (jobs.conf.task_time_limit, jobs.conf.worker_concurrency) == (5, 3)


def test_c42_other_content_than_json_is_not_accepted(plain: Umbel) -> None:
    assert plain.conf.accept_content == ["json"]
    assert plain.conf.result_accept_content in (None, ["json"])


def test_making_an_application_touches_nothing(project: Path) -> None:
    jobs = Umbel("shop", set_as_current=False)
    assert jobs.conf.broker_url
    assert {path.name for path in project.iterdir()} == {"pyproject.toml"}


# -- URLs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:////srv/shop/jobs.db", "/srv/shop/jobs.db"),
        ("sqlite:////srv/my%20shop/jobs.db", "/srv/my shop/jobs.db"),
        ("sqlite:////srv/a/../jobs.db", "/srv/jobs.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert is_embedded(url)
    assert sqlite_path(url) == Path(path).resolve()


def test_a_relative_url_starts_here(project: Path) -> None:
    assert sqlite_path("sqlite:///var/jobs.db") == project / "var" / "jobs.db"


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite://jobs.db", "sqlite://host/jobs.db", "sqlite:"])
def test_a_url_that_names_no_file_says_how_to_write_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="four slashes"):
        sqlite_path(url)


@pytest.mark.parametrize("url", ["nonsense://host/0", "sqllite:///jobs.db", "redsi://h", "jobs.db", "/srv/jobs.db"])
def test_a_broker_url_that_nobody_understands(make_app: Callable[..., Umbel], url: str) -> None:
    """Issue 2, bad input: one clear error, when the application is made and not at the first dispatch."""
    with pytest.raises(ConfigurationError) as caught:
        make_app(url)
    assert "sqlite:////" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["redis://h:1/0", "rediss://h", "amqp://h//", "pyamqp://h", "memory://", "sqs://"])
def test_c46_celerys_own_brokers_are_taken(make_app: Callable[..., Umbel], url: str) -> None:
    assert make_app(url).conf.broker_url == url


def test_c46_a_job_can_be_dispatched_to_a_broker_that_keeps_no_results(make_app: Callable[..., Umbel]) -> None:
    jobs = make_app("memory://")
    task = jobs.task(name="shop.elsewhere")(elsewhere)
    assert task.delay().id
    assert jobs.conf.result_backend is None


def test_results_are_kept_beside_the_messages(make_app: Callable[..., Umbel]) -> None:
    assert make_app("redis://h:1/0").conf.result_backend == "umbel.engine.results:EngineBackend+redis://h:1/0"


def elsewhere() -> None: ...


def test_several_celery_brokers_in_one_url_are_taken(make_app: Callable[..., Umbel]) -> None:
    assert make_app("amqp://a//;amqp://b//").conf.broker_url == "amqp://a//;amqp://b//"


def test_the_engine_of_another_broker_is_refused_clearly(make_app: Callable[..., Umbel]) -> None:
    with pytest.raises(ConfigurationError, match="an engine of Umbel's"):
        assert make_app("memory://").engine


def test_the_engine_is_one_object_a_store(jobs: Umbel, make_app: Callable[..., Umbel]) -> None:
    assert isinstance(jobs.engine, SQLiteEngine)
    assert make_app().engine is jobs.engine
