"""Umbel's settings: typed, from the environment, a ``.env`` file, or code.

Order of precedence: what code passes, ``UMBEL_*`` in the environment, ``UMBEL_*`` in ``.env``, the Celery
variables that are honoured too, the default. ``Settings().explain()`` tells which it was.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal

from dotenv import dotenv_values
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from umbel.durations import duration
from umbel.errors import ConfigurationError
from umbel.setting_types import Duration, Durations, Names
from umbel.watching import WatchingSettings

__all__ = ("Explained", "Settings", "data_directory", "history_place")

_SOFT: Final = timedelta(minutes=20)

#: Names in the ``UMBEL_`` space that are not settings.
_RESERVED: Final = frozenset(
    {
        "UMBEL_APP",
        "UMBEL_PARENT_FD",
        "UMBEL_QUEUE_WEIGHTS",
        "UMBEL_SHORT_PATH",
        "UMBEL_SUPERVISED",
        "UMBEL_SUSPECTS",
    }
)
#: Variables of Celery's, and one that everybody knows, honoured below ours.
_CELERY: Final = {
    "CELERY_BROKER_URL": "broker_url",
    "CELERY_RESULT_BACKEND": "result_backend",
    "CELERY_WORKER_CONCURRENCY": "concurrency",
    "CELERY_WORKER_MAX_TASKS_PER_CHILD": "max_tasks_per_child",
    "CELERY_TASK_TIME_LIMIT": "time_limit",
    "CELERY_TASK_SOFT_TIME_LIMIT": "soft_time_limit",
    "DATABASE_URL": "database_url",
}
#: What platforms call the commit that they run, in the order in which they are asked.
_COMMITS: Final = (
    "GIT_COMMIT",
    "SOURCE_COMMIT",
    "HEROKU_SLUG_COMMIT",
    "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA",
    "CI_COMMIT_SHA",
    "GITHUB_SHA",
)
#: All variables that are honoured below ours.
_OTHERS: Final = {**_CELERY, **dict.fromkeys(_COMMITS, "release")}
#: In a URL, up to the last "@" before its path.
_PASSWORD: Final = re.compile(r"(://[^:@/]*:)[^/]*(@)")
_SECRET_WORDS: Final = ("token", "password", "secret")


@dataclass(frozen=True, slots=True)
class Explained:
    """One setting: its value and where it came from. Secrets are masked."""

    name: str
    value: Any
    source: str
    variable: str


class Settings(WatchingSettings):
    """All of Umbel's settings. Durations are seconds or texts like ``"10m"``."""

    model_config = SettingsConfigDict(
        env_prefix="UMBEL_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True, validate_default=False
    )

    broker_url: str | None = Field(None, description="Where messages are kept. Default: SQLite in the data directory.")
    state_url: str | None = Field(
        None, description="With RabbitMQ: where results and leases are kept, redis:// or postgresql+psycopg://."
    )
    database_url: str | None = Field(
        None, description="The application's own database: sessions in jobs and the outbox. SQLite or PostgreSQL."
    )
    history: bool = Field(True, description="Whether workers record what becomes of every job.")
    history_url: str | None = Field(
        None, description="Where that is written: SQLite, or PostgreSQL. Default: history.db in the data directory."
    )
    history_age: Duration = Field(
        timedelta(days=7),
        description="How long jobs that succeeded, or were cancelled or expired, stay in the history.",
    )
    history_failures_age: Duration = Field(
        timedelta(days=30), description="How long jobs that failed stay in the history."
    )
    history_most: int = Field(
        1_000_000, ge=1, le=100_000_000, description="How many ended jobs of each state the history keeps at most."
    )
    log_lines: int = Field(
        500, ge=0, le=10_000, description="How many lines that a job logs are kept with it; 0 keeps none."
    )
    log_bytes: int = Field(65_536, ge=1024, le=1_048_576, description="How much text of these at most.")
    result_backend: str | None = Field(None, description="Where results are kept. Default: beside the messages.")
    data_dir: Path | None = Field(
        None, description="Folder of the embedded engine. Default: .umbel beside pyproject.toml."
    )
    durability: Literal["normal", "full"] = Field(
        "normal", description="SQLite synchronous: normal survives any crash of processes, full a power loss too."
    )
    debug: bool = Field(False, description="Development: the router mounts without an owner check.")
    pool: Literal["default", "prefork", "threads", "solo"] = Field(
        "default", description="How a process runs its jobs."
    )
    concurrency: int = Field(10, ge=1, le=10_000, description="Jobs that run at a time in one process.")
    processes: int | None = Field(None, ge=1, le=1024, description="Worker processes. Default: one a core.")
    grace: Duration = Field(timedelta(seconds=30), description="How long running jobs may take to end at shutdown.")
    time_limit: Duration = Field(timedelta(minutes=30), description="Hard limit of a job.")
    soft_time_limit: Duration = Field(_SOFT, description="Soft limit of a job.")
    max_tasks_per_child: int | None = Field(100_000, ge=1, description="A process is replaced after so many jobs.")
    max_memory_per_child: int | None = Field(1_048_576, ge=1024, description="A process is replaced above so many KiB.")
    crash_limit: int = Field(3, ge=1, le=100, description="A job that kills its process, alone, so often is dead.")
    max_payload_bytes: int = Field(262_144, ge=1024, description="Largest message that is accepted.")
    payload_keys: SecretStr | None = Field(
        None, description="Keys that protect payloads, id:base64,id:base64; the first protects, all of them open."
    )
    payload_protection: Literal["off", "sign", "encrypt"] = Field(
        "off", description="Whether messages are signed, or messages and results encrypted."
    )
    payload_unprotected: Literal["refuse", "accept"] = Field(
        "refuse", description="What a worker does with messages that are not protected where they should be."
    )
    dispatch_timeout: Duration = Field(timedelta(seconds=2), description="How long adelay waits for the broker.")
    result_expires: Duration = Field(timedelta(hours=1), description="How long results are kept.")
    result_timeout: Duration = Field(timedelta(seconds=60), description="How long get() waits unless told otherwise.")
    dead_letters_most: int = Field(10_000, ge=1, le=10_000_000, description="How many dead letters are kept.")
    dead_letters_age: Duration = Field(timedelta(days=30), description="How long dead letters are kept.")
    release: str | None = Field(
        None, max_length=200, description="Which release runs here. Default: the commit, where the platform tells it."
    )
    webhook_secret: SecretStr | None = Field(
        None, description="What webhooks are signed with: whsec_ and base64; two with a comma while it is changed."
    )
    webhook_allow: Names = Field((), description="Hosts, addresses and networks to which webhooks go though private.")
    webhook_backoff: Durations = Field(
        tuple(map(duration, ("5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h"))),
        max_length=100,
        description="The pauses after which a webhook that was not taken is sent again.",
    )
    webhook_timeout: Duration = Field(timedelta(seconds=15), description="How long sending a webhook may take.")
    external_tasks: Names = Field((), description="Tasks of other services that routes and schedules may name.")
    external_queues: Names = Field((), description="Queues that other services consume.")
    web_token: str | None = Field(
        None, min_length=16, description="Token of those who may act on the dashboard; new,old while it is changed."
    )
    web_viewer_token: str | None = Field(None, min_length=16, description="Token of those who may look at it only.")
    web_secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="What sessions are signed with; new,old while it is changed. Default: the tokens.",
    )
    web_session_age: Duration = Field(timedelta(hours=12), description="How long somebody stays signed in.")
    web_url: str | None = Field(None, description="Where people reach the dashboard: https://ops.example.org/umbel.")
    web_oidc_issuer: str | None = Field(None, description="The OpenID Connect provider that people sign in at.")
    web_oidc_client_id: str | None = Field(None, description="What the provider knows the dashboard by.")
    web_oidc_client_secret: SecretStr | None = Field(None, description="The secret beside it, where there is one.")
    web_oidc_scopes: Names = Field(("openid", "profile", "email"), description="What the provider is asked for.")
    web_oidc_operators: Names = Field((), description="Who may act, by claim: groups=ops,email=ann@example.org, or *.")
    web_oidc_viewers: Names = Field((), description="Who may look, likewise.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Code, environment, ``.env``, then Celery's own variables and the platforms'."""
        return (init_settings, env_settings, dotenv_settings, _OtherSource(settings_cls))

    @field_validator("concurrency", mode="before")
    @classmethod
    def _auto(cls, value: Any) -> Any:
        return 10 if value == "auto" else value

    def __init__(self, **values: Any) -> None:
        """Read the settings; ``values`` are those that code decides."""
        super().__init__(**values)
        self._code = frozenset(values)

    _code: frozenset[str] = PrivateAttr(frozenset())

    @model_validator(mode="before")
    @classmethod
    def _soft_by_hard(cls, values: Any) -> Any:
        # Whoever sets only the hard limit means the job to end by then.
        if isinstance(values, dict) and "time_limit" in values and "soft_time_limit" not in values:
            with contextlib.suppress(ValueError, OverflowError):
                values["soft_time_limit"] = min(_SOFT, duration(values["time_limit"]))
        return values

    @model_validator(mode="after")
    def _soft_below_hard(self) -> Settings:
        if self.soft_time_limit > self.time_limit:
            raise ValueError(
                f"soft_time_limit ({self.soft_time_limit}) is above time_limit ({self.time_limit}): "
                "set UMBEL_SOFT_TIME_LIMIT below UMBEL_TIME_LIMIT."
            )
        return self

    @classmethod
    def load(cls, **values: Any) -> Settings:
        """Read the settings. Raises :exc:`ConfigurationError` with one sentence for each that is wrong."""
        _report_unknown(cls)
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigurationError("; ".join(_sentence(detail) for detail in error.errors())) from None

    @property
    def suspects(self) -> str:
        """Which suspects this process runs: ``only``, ``never`` or ``alone``. Set by the supervisor."""
        value = os.environ.get("UMBEL_SUSPECTS", "alone")
        return value if value in ("only", "never") else "alone"

    @property
    def queue_weights(self) -> dict[str, int]:
        """Weights of the queues, as ``-Q high:4,default:1`` set them for this process."""
        text = os.environ.get("UMBEL_QUEUE_WEIGHTS", "")
        pairs = (part.rpartition(":") for part in text.split(",") if ":" in part)
        return {name: int(weight) for name, _, weight in pairs if weight.isdigit()}

    def explain(self) -> Iterator[Explained]:
        """Yield every setting with its value and its source."""
        dotenv = {name.upper() for name in dotenv_values(".env")} if Path(".env").is_file() else set()
        for name in type(self).model_fields:
            variable = f"UMBEL_{name.upper()}"
            value = getattr(self, name)
            yield Explained(name, _masked(name, value), _source(self, name, variable, dotenv), variable)


class _OtherSource(PydanticBaseSettingsSource):
    """Celery's own variables and the platforms', from the environment."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Return the value for a field, its key, and that it is not complex."""
        for variable, name in _OTHERS.items():
            if name == field_name and os.environ.get(variable):
                return os.environ[variable], field_name, False
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all values that are set."""
        values = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in values.items() if value is not None}


def data_directory(settings: Settings, start: Path | None = None) -> Path:
    """Return the folder of the embedded engine: beside the nearest ``pyproject.toml``, else here."""
    if settings.data_dir is not None:
        return settings.data_dir.expanduser().resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / ".umbel"
    return here / ".umbel"


def history_place(settings: Settings) -> str:
    """Return the URL of the history's database."""
    return settings.history_url or f"sqlite:///{data_directory(settings) / 'history.db'}"


def _report_unknown(cls: type[Settings]) -> None:
    known = {f"UMBEL_{name.upper()}" for name in cls.model_fields}
    names: Mapping[str, Any] = os.environ
    if Path(".env").is_file():
        names = {**dotenv_values(".env"), **names}
    for name in sorted(names):
        if name.upper().startswith("UMBEL_") and name.upper() not in known | _RESERVED:
            near = difflib.get_close_matches(name.upper(), sorted(known), 1, 0.0)
            warnings.warn(f"{name} is not a setting of Umbel and has no effect: did you mean {near[0]}?", stacklevel=4)


def _sentence(detail: Any) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    message = str(detail["msg"]).removeprefix("Value error, ")
    variable = f"UMBEL_{name.upper()}"
    if variable not in {key.upper() for key in os.environ}:
        variable = next((key for key, field in _OTHERS.items() if field == name and os.environ.get(key)), variable)
    return f"{variable}: {message}" if name else message


def _masked(name: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, SecretStr) or any(word in name for word in _SECRET_WORDS):
        return "********"
    if name == "alert_webhook":
        # The path of such a URL is often what gives the right to use it.
        return tuple("/".join([*url.split("/")[:3], "**"]) for url in value)
    if name.endswith("_url") or name == "result_backend":
        return ";".join(_PASSWORD.sub(r"\1**\2", one.partition("?")[0]) for one in str(value).split(";"))
    return value


def _source(settings: Settings, name: str, variable: str, dotenv: set[str]) -> str:
    if name not in settings.model_fields_set:
        return "default"
    names = {key.upper() for key in os.environ}
    if name in settings._code:
        return "code"
    if variable in names:
        return f"environment {variable}"
    if variable in dotenv:
        return f".env {variable}"
    for celery, field in _OTHERS.items():
        if field == name and os.environ.get(celery):
            return f"environment {celery}"
    return "default"
