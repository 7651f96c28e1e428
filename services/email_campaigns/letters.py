"""Mails that need a person: dead letters (failed for good, replayable) and uncertain ones (maybe sent)."""

from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.email_campaigns.campaigns import NotPossible
from services.email_campaigns.database import now, reading, writing
from services.email_campaigns.models import Campaign, CampaignState, Mail, MailState

__all__ = ("Verdict", "decide", "in_state", "replay")

Verdict = Literal["sent", "resend"]


def in_state(state: MailState, *, campaign_id: int | None = None, after: int = 0, limit: int = 100) -> list[Mail]:
    """Return mails in this state with an id above ``after``, by id."""
    query = select(Mail).where(Mail.state == state, Mail.id > after).order_by(Mail.id).limit(limit)
    if campaign_id is not None:
        query = query.where(Mail.campaign_id == campaign_id)
    with reading() as session:
        return list(session.scalars(query))


def replay(mail_ids: list[int]) -> list[Mail]:
    """Give failed mails their attempts back and return those that were failed, to be dispatched."""
    with writing() as session:
        mails = session.scalars(
            select(Mail).where(Mail.id.in_(mail_ids), Mail.state == MailState.FAILED).with_for_update()
        ).all()
        return [mail for mail in mails if _reopen(session, mail)]


def decide(mail_id: int, verdict: Verdict) -> Mail | None:
    """Settle an uncertain mail as a person says; return it when it is to be dispatched.

    Raises ``LookupError``, and :class:`NotPossible` when it is not uncertain or its campaign was cancelled.
    """
    with writing() as session:
        mail = session.get(Mail, mail_id, with_for_update=True)
        if mail is None:
            raise LookupError(f"There is no mail {mail_id}.")
        if mail.state != MailState.UNCERTAIN:
            raise NotPossible(f"The mail is {mail.state}; only an uncertain one can be decided.")
        if verdict == "sent":
            mail.state, mail.changed = MailState.SENT, now(session)
            return None
        if not _reopen(session, mail):
            raise NotPossible("The mail's campaign was cancelled.")
        return mail


def _reopen(session: Session, mail: Mail) -> bool:
    if mail.campaign_id is not None:
        campaign = session.get_one(Campaign, mail.campaign_id, with_for_update=True)
        if campaign.state == CampaignState.CANCELLED:
            return False
        if campaign.state == CampaignState.FINISHED:
            campaign.state, campaign.ended = CampaignState.RUNNING, None
    mail.state, mail.attempts, mail.queued, mail.error = MailState.PENDING, 0, False, None
    mail.changed = now(session)
    return True
