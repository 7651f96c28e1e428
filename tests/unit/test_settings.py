"""Settings: every variable, its source, its mistakes (C2)."""

from __future__ import annotations

import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from umbel import Settings, Umbel
from umbel.engine.alerts_told import alerts_told
from umbel.errors import ConfigurationError
from umbel.monitor.metrics.scaling import Scaling
from umbel.settings import data_directory

SECRET = "whsec_" + "A" * 43 + "="
KEY = "k:" + "A" * 43 + "="
#: A text for each variable, and the value that it stands for.
VALUES: dict[str, tuple[str, Any]] = {
    "UMBEL_BROKER_URL": ("redis://h:1/2", "redis://h:1/2"),
    "UMBEL_RESULT_BACKEND": ("redis://h:1/3", "redis://h:1/3"),
    "UMBEL_DATABASE_URL": ("sqlite:////srv/shop.db", "sqlite:////srv/shop.db"),
    "UMBEL_HISTORY": ("0", False),
    "UMBEL_HISTORY_AGE": ("2d", timedelta(days=2)),
    "UMBEL_HISTORY_FAILURES_AGE": ("90d", timedelta(days=90)),
    "UMBEL_HISTORY_MOST": ("5000", 5000),
    "UMBEL_LOG_LINES": ("50", 50),
    "UMBEL_LOG_BYTES": ("4096", 4096),
    "UMBEL_HISTORY_URL": ("sqlite:////srv/history.db", "sqlite:////srv/history.db"),
    "UMBEL_DATA_DIR": ("/srv/shop", Path("/srv/shop")),
    "UMBEL_DURABILITY": ("full", "full"),
    "UMBEL_DEBUG": ("true", True),
    "UMBEL_POOL": ("prefork", "prefork"),
    "UMBEL_CONCURRENCY": ("37", 37),
    "UMBEL_STATE_URL": ("redis://state:6379/1", "redis://state:6379/1"),
    "UMBEL_PROCESSES": ("5", 5),
    "UMBEL_GRACE": ("45s", timedelta(seconds=45)),
    "UMBEL_TIME_LIMIT": ("1h30m", timedelta(minutes=90)),
    "UMBEL_SOFT_TIME_LIMIT": ("90", timedelta(seconds=90)),
    "UMBEL_MAX_TASKS_PER_CHILD": ("77", 77),
    "UMBEL_MAX_MEMORY_PER_CHILD": ("2048", 2048),
    "UMBEL_CRASH_LIMIT": ("7", 7),
    "UMBEL_MAX_PAYLOAD_BYTES": ("4096", 4096),
    "UMBEL_PAYLOAD_KEYS": (KEY, SecretStr(KEY)),
    "UMBEL_PAYLOAD_PROTECTION": ("sign", "sign"),
    "UMBEL_PAYLOAD_UNPROTECTED": ("accept", "accept"),
    "UMBEL_DISPATCH_TIMEOUT": ("500ms", timedelta(milliseconds=500)),
    "UMBEL_RESULT_EXPIRES": ("2d", timedelta(days=2)),
    "UMBEL_RESULT_TIMEOUT": ("10m", timedelta(minutes=10)),
    "UMBEL_DEAD_LETTERS_MOST": ("500", 500),
    "UMBEL_DEAD_LETTERS_AGE": ("90d", timedelta(days=90)),
    "UMBEL_RELEASE": ("v7", "v7"),
    "UMBEL_WEBHOOK_SECRET": (SECRET, SecretStr(SECRET)),
    "UMBEL_WEBHOOK_ALLOW": ("localhost, 10.0.0.0/8", ("localhost", "10.0.0.0/8")),
    "UMBEL_WEBHOOK_BACKOFF": ("5s, 1m", (timedelta(seconds=5), timedelta(minutes=1))),
    "UMBEL_WEBHOOK_TIMEOUT": ("5s", timedelta(seconds=5)),
    "UMBEL_EXTERNAL_TASKS": ("billing.charge, mail.send", ("billing.charge", "mail.send")),
    "UMBEL_EXTERNAL_QUEUES": ("billing", ("billing",)),
    "UMBEL_WEB_TOKEN": ("0123456789abcdef", "0123456789abcdef"),
    "UMBEL_WEB_VIEWER_TOKEN": ("fedcba9876543210", "fedcba9876543210"),
    "UMBEL_WEB_SECRET": (SECRET, SecretStr(SECRET)),
    "UMBEL_WEB_SESSION_AGE": ("8h", timedelta(hours=8)),
    "UMBEL_WEB_URL": ("https://ops.example.org/umbel", "https://ops.example.org/umbel"),
    "UMBEL_WEB_OIDC_ISSUER": ("https://id.example.org", "https://id.example.org"),
    "UMBEL_WEB_OIDC_CLIENT_ID": ("umbel", "umbel"),
    "UMBEL_WEB_OIDC_CLIENT_SECRET": (SECRET, SecretStr(SECRET)),
    "UMBEL_WEB_OIDC_SCOPES": ("openid,groups", ("openid", "groups")),
    "UMBEL_WEB_OIDC_OPERATORS": ("groups=ops, email=ann@example.org", ("groups=ops", "email=ann@example.org")),
    "UMBEL_WEB_OIDC_VIEWERS": ("*", ("*",)),
    "UMBEL_LOG_FORMAT": ("json", "json"),
    "UMBEL_TRACES": ("1", True),
    "UMBEL_METRICS_OPEN": ("1", True),
    "UMBEL_AUTOSCALE_MIN": ("0", 0),
    "UMBEL_AUTOSCALE_MAX": ("50", 50),
    "UMBEL_AUTOSCALE_DRAIN": ("30s", timedelta(seconds=30)),
    "UMBEL_AUTOSCALE_HOLD": ("15m", timedelta(minutes=15)),
    "UMBEL_ALERTS": ("0", False),
    "UMBEL_ALERT_WITHIN": ("1h", timedelta(hours=1)),
    "UMBEL_ALERT_FAILURES": ("3", 3),
    "UMBEL_ALERT_DEAD_LETTERS": ("5", 5),
    "UMBEL_ALERT_WAIT": ("30s", timedelta(seconds=30)),
    "UMBEL_ALERT_WAITS": ("bulk=2h, mail=1m", ("bulk=2h", "mail=1m")),
    "UMBEL_ALERT_WEBHOOK": ("https://a.example/x", ("https://a.example/x",)),
    "UMBEL_ALERT_EMAIL": ("a@b.example, c@d.example", ("a@b.example", "c@d.example")),
    "UMBEL_ALERT_SENDER": ("umbel@b.example", "umbel@b.example"),
    "UMBEL_ALERT_SMTP_URL": ("smtp://h", SecretStr("smtp://h")),
}


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No ``.env`` of the repository."""
    monkeypatch.chdir(tmp_path)


def test_c2_this_test_knows_every_variable() -> None:
    assert set(VALUES) == {f"UMBEL_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("variable", VALUES)
@pytest.mark.parametrize("where", ["environment", ".env", "code"])
def test_c2_every_variable_is_read(variable: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From each place alone, with its place explained."""
    text, value = VALUES[variable]
    name = variable.removeprefix("UMBEL_").lower()
    given: dict[str, Any] = {}
    monkeypatch.delenv(variable, raising=False)
    if where == "environment":
        monkeypatch.setenv(variable, text)
    elif where == ".env":
        Path(".env").write_text(f'{variable}="{text}"\n')
    else:
        given[name] = text
    settings = Settings.load(**given)
    assert getattr(settings, name) == value
    assert getattr(settings, name) != Settings.model_fields[name].default, "the test's value proves nothing"
    source = next(one.source for one in settings.explain() if one.name == name)
    assert source == ("code" if where == "code" else f"{where} {variable}")


#: How Celery, the engine or the application shows what a variable set.
EFFECTS: dict[str, Any] = {
    "UMBEL_TRACES": lambda jobs: jobs.tracing is not None,
    "UMBEL_AUTOSCALE_MIN": lambda jobs: Scaling(jobs).bounds.least == 0,
    "UMBEL_AUTOSCALE_MAX": lambda jobs: Scaling(jobs).bounds.most == 50,
    "UMBEL_AUTOSCALE_DRAIN": lambda jobs: Scaling(jobs).bounds.drain == 30,
    "UMBEL_AUTOSCALE_HOLD": lambda jobs: Scaling(jobs).bounds.hold == 900,
    "UMBEL_ALERT_WITHIN": lambda jobs: alerts_told(jobs)["thresholds"]["within"] == 3600,
    "UMBEL_ALERT_FAILURES": lambda jobs: alerts_told(jobs)["thresholds"]["failures"] == 3,
    "UMBEL_ALERT_DEAD_LETTERS": lambda jobs: alerts_told(jobs)["thresholds"]["dead_letters"] == 5,
    "UMBEL_ALERT_WAIT": lambda jobs: alerts_told(jobs)["thresholds"]["wait"] == 30,
    "UMBEL_ALERT_WAITS": lambda jobs: alerts_told(jobs)["thresholds"]["waits"] == ["bulk=2h", "mail=1m"],
    "UMBEL_ALERT_WEBHOOK": lambda jobs: alerts_told(jobs)["webhooks"]["urls"] == ["https://a.example/x"],
    "UMBEL_ALERT_EMAIL": lambda jobs: alerts_told(jobs)["mail"]["recipients"] == ["a@b.example", "c@d.example"],
    "UMBEL_ALERT_SENDER": lambda jobs: alerts_told(jobs)["mail"]["sender"] == "umbel@b.example",
    "UMBEL_ALERT_SMTP_URL": lambda jobs: alerts_told(jobs)["mail"]["url"] == "smtp://h",
    "UMBEL_BROKER_URL": lambda jobs: jobs.conf.broker_url == "redis://h:1/2",
    "UMBEL_RESULT_BACKEND": lambda jobs: jobs.conf.result_backend == "redis://h:1/3",
    "UMBEL_DATA_DIR": lambda jobs: jobs.conf.broker_url == "sqlite:////srv/shop/umbel.db",
    "UMBEL_DURABILITY": lambda jobs: jobs.engine.file.durability == "full",
    "UMBEL_POOL": lambda jobs: jobs.conf.worker_pool == "prefork",
    "UMBEL_CONCURRENCY": lambda jobs: jobs.conf.worker_concurrency == 37,
    "UMBEL_DATABASE_URL": lambda jobs: str(jobs._databases.engine().url) == "sqlite:////srv/shop.db",
    "UMBEL_TIME_LIMIT": lambda jobs: jobs.conf.task_time_limit == 5400,
    "UMBEL_SOFT_TIME_LIMIT": lambda jobs: jobs.conf.task_soft_time_limit == 90,
    "UMBEL_MAX_TASKS_PER_CHILD": lambda jobs: jobs.conf.worker_max_tasks_per_child == 77,
    "UMBEL_MAX_MEMORY_PER_CHILD": lambda jobs: jobs.conf.worker_max_memory_per_child == 2048,
    "UMBEL_CRASH_LIMIT": lambda jobs: jobs.engine.crash_limit == 7,
    "UMBEL_PAYLOAD_KEYS": lambda jobs: repr(jobs.protection.keyring).startswith("Keyring(k#"),
    "UMBEL_PAYLOAD_PROTECTION": lambda jobs: jobs.protection.mode == "sign",
    "UMBEL_PAYLOAD_UNPROTECTED": lambda jobs: jobs.protection.tolerant,
    "UMBEL_RESULT_EXPIRES": lambda jobs: jobs.backend.expires == 172_800,
}


@pytest.mark.parametrize("variable", EFFECTS)
def test_c2_what_is_read_takes_effect(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, VALUES[variable][0])
    jobs = Umbel("shop", set_as_current=False)
    assert EFFECTS[variable](jobs), variable
    jobs.close()


# -- precedence -------------------------------------------------------------------------------------------------

CELERY = {
    "CELERY_BROKER_URL": ("UMBEL_BROKER_URL", "redis://c:1/0"),
    "CELERY_RESULT_BACKEND": ("UMBEL_RESULT_BACKEND", "redis://c:1/1"),
    "CELERY_WORKER_CONCURRENCY": ("UMBEL_CONCURRENCY", "41"),
    "CELERY_WORKER_MAX_TASKS_PER_CHILD": ("UMBEL_MAX_TASKS_PER_CHILD", "42"),
    "CELERY_TASK_TIME_LIMIT": ("UMBEL_TIME_LIMIT", "43"),
    "CELERY_TASK_SOFT_TIME_LIMIT": ("UMBEL_SOFT_TIME_LIMIT", "44"),
    "DATABASE_URL": ("UMBEL_DATABASE_URL", "sqlite:////srv/other.db"),
}


@pytest.mark.parametrize("variable", CELERY)
def test_c2_celerys_variables_are_honoured_below_ours(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, text = CELERY[variable]
    name = ours.removeprefix("UMBEL_").lower()
    monkeypatch.setenv(variable, text)
    settings = Settings.load()
    found = getattr(settings, name)
    assert str(int(found.total_seconds()) if isinstance(found, timedelta) else found) == text
    assert next(one.source for one in settings.explain() if one.name == name) == f"environment {variable}"
    Path(".env").write_text(f"{ours}={VALUES[ours][0]}\n")
    assert getattr(Settings.load(), name) == VALUES[ours][1]


def test_c35_the_release_is_the_commit_that_the_platform_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GIT_COMMIT", "GITHUB_SHA", "UMBEL_RELEASE"):
        monkeypatch.delenv(variable, raising=False)
    assert Settings.load().release is None
    for variable in ("GITHUB_SHA", "RENDER_GIT_COMMIT", "GIT_COMMIT", "UMBEL_RELEASE"):
        monkeypatch.setenv(variable, f"from {variable}")
        settings = Settings.load()
        assert settings.release == f"from {variable}"
        assert {row.source for row in settings.explain() if row.name == "release"} == {f"environment {variable}"}


def test_c2_code_beats_the_environment_beats_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(**values: Any) -> tuple[Any, str]:
        settings = Settings.load(**values)
        return settings.concurrency, next(one.source for one in settings.explain() if one.name == "concurrency")

    assert found() == (10, "default")
    monkeypatch.setenv("CELERY_WORKER_CONCURRENCY", "1")
    assert found() == (1, "environment CELERY_WORKER_CONCURRENCY")
    Path(".env").write_text("UMBEL_CONCURRENCY=2\n")
    assert found() == (2, ".env UMBEL_CONCURRENCY")
    monkeypatch.setenv("UMBEL_CONCURRENCY", "3")
    assert found() == (3, "environment UMBEL_CONCURRENCY")
    assert found(concurrency=4) == (4, "code")


def test_c2_unrelated_lines_of_the_same_file_are_ignored() -> None:
    Path(".env").write_text("SECRET_KEY=x\nconcurrency=99\nDJANGO_DEBUG=1\nUMBEL_CONCURRENCY=2\n# UMBEL_NONSENSE=1\n")
    assert Settings.load().concurrency == 2


def test_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_CONCURRENCY", "")
    assert Settings.load().concurrency == 10


# -- mistakes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("UMBEL_CONCURENCY", "UMBEL_CONCURRENCY"),
        ("UMBEL_BROKER", "UMBEL_BROKER_URL"),
        ("UMBEL_TIMELIMIT", "UMBEL_TIME_LIMIT"),
    ],
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_c2_an_unknown_variable_is_reported_with_the_nearest(
    wrong: str, right: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "environment":
        monkeypatch.setenv(wrong, "1")
    else:
        Path(".env").write_text(f"{wrong}=1\n")
    with pytest.warns(UserWarning, match=f"^{wrong} is not a setting .*did you mean {right}\\?$"):
        Settings.load()


def test_c2_variables_of_umbels_own_processes_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UMBEL_APP", "UMBEL_SUPERVISED", "UMBEL_SUSPECTS", "UMBEL_QUEUE_WEIGHTS"):
        monkeypatch.setenv(name, "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Settings.load()


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("UMBEL_CONCURRENCY", "many"),
        ("UMBEL_CONCURRENCY", "0"),
        ("UMBEL_TIME_LIMIT", "soon"),
        ("UMBEL_TIME_LIMIT", "-5"),
        ("UMBEL_GRACE", "1e400"),
        ("UMBEL_POOL", "eventlet"),
        ("UMBEL_DURABILITY", "perhaps"),
        ("UMBEL_WEB_TOKEN", "short"),
        ("UMBEL_MAX_PAYLOAD_BYTES", "1"),
        ("CELERY_WORKER_CONCURRENCY", "many"),
        ("CELERY_TASK_TIME_LIMIT", "soon"),
    ],
)
def test_c3_a_wrong_value_names_its_variable_in_one_sentence(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigurationError) as caught:
        Settings.load()
    assert str(caught.value).startswith(f"{variable}: ")
    assert "\n" not in str(caught.value)


def test_c3_a_soft_limit_above_the_hard_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_SOFT_TIME_LIMIT", "2h")
    monkeypatch.setenv("UMBEL_TIME_LIMIT", "1h")
    with pytest.raises(ConfigurationError, match="soft_time_limit .* is above time_limit"):
        Settings.load()


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_CONCURRENCY", "many")
    monkeypatch.setenv("UMBEL_GRACE", "never")
    with pytest.raises(ConfigurationError, match="UMBEL_CONCURRENCY: .*; UMBEL_GRACE: "):
        Settings.load()


def test_secrets_are_masked_where_settings_are_shown() -> None:
    settings = Settings.load(web_token="a very secret word", broker_url="redis://user:hidden@host/1")
    shown = {one.name: str(one.value) for one in settings.explain()}
    assert "secret" not in shown["web_token"]
    assert "hidden" not in shown["broker_url"]
    assert "host" in shown["broker_url"]
    sentinels = "sentinel://:hidden@one:1;sentinel://:hidden@two:2/0?master_name=m&sentinel_password=hidden"
    shown = {one.name: str(one.value) for one in Settings.load(broker_url=sentinels).explain()}
    assert shown["broker_url"] == "sentinel://:**@one:1;sentinel://:**@two:2/0"
    alerting = Settings.load(alert_webhook="https://hooks.example/T1/hidden", alert_smtp_url="smtp://me:hidden@mail")
    shown = {one.name: str(one.value) for one in alerting.explain()}
    assert shown["alert_webhook"] == "('https://hooks.example/**',)"
    assert "hidden" not in str(shown)


# -- the data directory -----------------------------------------------------------------------------------------


def test_c1_the_store_stands_beside_the_nearest_pyproject(tmp_path: Path) -> None:
    """A web process and a worker started in different folders share it."""
    deep = tmp_path / "src" / "shop"
    deep.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    assert data_directory(Settings.load(), deep) == tmp_path / ".umbel"
    assert data_directory(Settings.load(), tmp_path) == tmp_path / ".umbel"
    (deep / "pyproject.toml").touch()
    assert data_directory(Settings.load(), deep) == deep / ".umbel"


def test_c1_without_a_project_it_is_here(tmp_path: Path) -> None:
    if any((folder / "pyproject.toml").exists() for folder in tmp_path.parents):
        pytest.skip("the temporary folder is inside of a project")
    assert data_directory(Settings.load(), tmp_path) == tmp_path / ".umbel"


def test_c9_weights_are_read_from_the_queues_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UMBEL_QUEUE_WEIGHTS", "high:4,a:b:2,default,low:x")
    assert Settings.load().queue_weights == {"high": 4, "a:b": 2}
