"""What can be set, each by an environment variable that begins with ``EMAIL_``."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ("Settings", "settings")

_PROJECT = Path(__file__).resolve().parents[2]


class Settings(BaseSettings):
    """The service's settings. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="EMAIL_", env_file=".env", extra="ignore", frozen=True)

    folder: Path = _PROJECT / ".umbel" / "email_campaigns"
    """Holds the attachments, and the database unless ``database_url`` is set."""
    database_url: str = ""
    """``sqlite:////absolute/file.db`` or ``postgresql+psycopg://…``; a SQLite file in ``folder`` by default."""
    smtp_url: SecretStr = SecretStr("smtp://localhost:25")
    """``smtp://``, ``smtp+starttls://`` or ``smtps://``, with ``user:password@`` where the server wants it."""
    smtp_timeout: float = Field(default=20.0, gt=0)
    """How long one answer of the server may take."""
    sender: str = "Umbel <mail@example.test>"
    public_url: str = "http://localhost:8000"
    """Where readers of a mail reach this service."""
    admin_address: str | None = None
    """Gets the daily digest."""
    admin_token: SecretStr | None = None
    """The bearer token for campaigns. Without one they are open to this machine only."""

    rate_per_minute: int = Field(default=100, ge=1)
    """Mails in any minute, over all workers."""
    max_attempts: int = Field(default=3, ge=1)
    retry_backoff: float = Field(default=30.0, ge=0)
    """The wait after the first failed attempt; it doubles with each one."""
    uncertain_policy: Literal["hold", "resend"] = "hold"
    """For a mail that may or may not have been sent: a person decides, or it goes again under the same Message-ID."""
    stuck_after: float = Field(default=3600.0, gt=0)
    """A mail that is being sent for longer than this is uncertain. Keep it above the job's time limit."""

    reset_valid: float = Field(default=3600.0, gt=0)
    """How long the link in a password-reset mail works."""
    max_upload: int = Field(default=20_000_000, ge=1)
    """The largest request: a CSV of recipients, or an attachment."""
    max_attachments: int = Field(default=10_000_000, ge=0)
    """The attachments of one campaign, together."""
    keep_finished: float = Field(default=30 * 86_400.0, gt=0)
    """How long the attachments of an ended campaign are kept."""

    @property
    def database(self) -> str:
        """The database's URL, the default filled in."""
        return self.database_url or f"sqlite:///{self.folder}/campaigns.db"


@cache
def settings() -> Settings:
    """Return this process's settings, read once."""
    return Settings()
