"""The tables. A :class:`Mail` is one message to one address, whatever its kind; jobs carry only its id.

Times are unix seconds.
"""

import time
import uuid
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Enum, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

__all__ = (
    "Attachment",
    "Base",
    "Campaign",
    "CampaignState",
    "Grant",
    "Mail",
    "MailKind",
    "MailState",
    "PasswordReset",
    "User",
)


class MailKind(StrEnum):
    """What a mail is about; :attr:`priority` is its place in the queue, 9 first."""

    PASSWORD_RESET = "password_reset"  # noqa: S105 - a kind of mail
    WELCOME = "welcome"
    DIGEST = "digest"
    CAMPAIGN = "campaign"

    @property
    def priority(self) -> int:
        """The job's priority: a person who waits at a screen before one who does not."""
        return {"password_reset": 9, "welcome": 6, "digest": 5, "campaign": 3}[self]


class MailState(StrEnum):
    """Where a mail stands. Only ``pending`` may be sent; the last three are ends, until a person says otherwise."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


class CampaignState(StrEnum):
    """Where a campaign stands."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    FINISHED = "finished"


def _message_id() -> str:
    return uuid.uuid4().hex


def _words(kind: type[StrEnum]) -> Enum:
    return Enum(kind, native_enum=False, length=20, values_callable=list)


class Base(DeclarativeBase):
    """All tables of the service."""

    type_annotation_map = {
        dict[str, Any]: JSON,
        MailKind: _words(MailKind),
        MailState: _words(MailState),
        CampaignState: _words(CampaignState),
    }


class User(Base):
    """Somebody who has registered."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    address: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    password: Mapped[str] = mapped_column(String(200))
    created: Mapped[float] = mapped_column(default=time.time)


class PasswordReset(Base):
    """The one link that may set a user's password; only its hash is kept."""

    __tablename__ = "password_resets"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    expires: Mapped[float]


class Campaign(Base):
    """One message to many recipients: its templates and where it stands."""

    __tablename__ = "campaigns"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    subject: Mapped[str]
    text: Mapped[str]
    html: Mapped[str]
    state: Mapped[CampaignState] = mapped_column(default=CampaignState.DRAFT, index=True)
    start_at: Mapped[float | None]
    started: Mapped[float | None]
    ended: Mapped[float | None]
    touched: Mapped[float] = mapped_column(default=time.time)
    """When jobs were last dispatched for it: a start that was killed shows here."""
    created: Mapped[float] = mapped_column(default=time.time)
    attachments: Mapped[list["Attachment"]] = relationship(order_by="Attachment.id")


class Attachment(Base):
    """A file that goes with each mail of a campaign; ``key`` names it in the storage."""

    __tablename__ = "attachments"

    id: Mapped[int] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), index=True)
    filename: Mapped[str] = mapped_column(String(200))
    content_type: Mapped[str] = mapped_column(String(100))
    size: Mapped[int]
    key: Mapped[str] = mapped_column(String(32), unique=True)


class Mail(Base):
    """One message to one address: its state, and who is at it."""

    __tablename__ = "mails"
    __table_args__ = (
        UniqueConstraint("campaign_id", "address"),
        Index("mails_campaign_state", "campaign_id", "state", "id"),
        Index("mails_state", "state", "queued", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[MailKind]
    address: Mapped[str] = mapped_column(String(254))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the templates may use: the other columns of the CSV."""
    message_id: Mapped[str] = mapped_column(String(80), unique=True, default=_message_id)
    """The left part of the Message-ID, the same in every attempt."""
    state: Mapped[MailState] = mapped_column(default=MailState.PENDING)
    queued: Mapped[bool] = mapped_column(default=False)
    """A job for it has been dispatched. Losing this mark costs a second job, which finds nothing to do."""
    claimed_by: Mapped[str | None] = mapped_column(String(64))
    """The id of the job that is sending it, or was."""
    attempts: Mapped[int] = mapped_column(default=0)
    turn: Mapped[float | None] = mapped_column(index=True)
    """When the rate limit wants to see it again."""
    error: Mapped[str | None]
    created: Mapped[float] = mapped_column(default=time.time)
    changed: Mapped[float] = mapped_column(default=time.time)


class Grant(Base):
    """The permission to send one mail, given at ``at``. Ids have no gaps."""

    __tablename__ = "grants"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[float]
