"""What waits for a person: dead letters and uncertain mails; and single mails by state."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from services.email_campaigns import letters
from services.email_campaigns.access import administrator
from services.email_campaigns.models import Mail, MailKind, MailState
from services.email_campaigns.tasks import dispatch

__all__ = ("router",)

router = APIRouter(prefix="/mails", tags=["mails"], dependencies=[Depends(administrator)])


class MailView(BaseModel):
    """One mail and what became of it."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    kind: MailKind
    address: str
    campaign_id: int | None
    state: MailState
    attempts: int
    error: str | None
    message_id: str
    changed: float


class Replay(BaseModel):
    """The dead letters to send again."""

    mail_ids: list[int] = Field(min_length=1, max_length=1000)


class Decision(BaseModel):
    """What a person found out about an uncertain mail: it was ``sent``, or it should be sent again."""

    verdict: letters.Verdict


@router.get("")
def list_mails(
    state: MailState,
    campaign_id: int | None = None,
    after: int = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[MailView]:
    """Return mails in a state: ``failed`` are the dead letters, ``uncertain`` wait for a decision."""
    found = letters.in_state(state, campaign_id=campaign_id, after=after, limit=limit)
    return [MailView.model_validate(mail) for mail in found]


@router.post("/replay", status_code=202)
def replay(body: Replay) -> list[int]:
    """Send dead letters again, with all their attempts; return the ids of those that were."""
    return _dispatched(letters.replay(body.mail_ids))


@router.post("/{mail_id}/decision", status_code=202)
def decide(mail_id: int, body: Decision) -> list[int]:
    """Settle an uncertain mail; return its id when it goes out again."""
    mail = letters.decide(mail_id, body.verdict)
    return _dispatched([] if mail is None else [mail])


def _dispatched(mails: list[Mail]) -> list[int]:
    dispatch(mails)
    return [mail.id for mail in mails]
