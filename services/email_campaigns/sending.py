"""From claim to end of one mail: what makes it go out at most once.

A job claims the mail (pending → sending, committed) before it talks to the server, and records the end after. A job
that finds its mail already claimed *by itself* is the second delivery of a job whose worker died in between: nobody
knows whether the server took the message, so the mail is uncertain. Claimed by another job, it is that one's.
"""

import random
from dataclasses import dataclass
from email.message import EmailMessage
from functools import lru_cache

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session, selectinload

from services.email_campaigns.accounts import new_reset_link
from services.email_campaigns.database import is_sqlite, now, reading, writing
from services.email_campaigns.models import Attachment, Campaign, CampaignState, Mail, MailKind, MailState
from services.email_campaigns.rate import wait_for_grant
from services.email_campaigns.rendering import compose, render, standard_template
from services.email_campaigns.settings import settings

__all__ = ("Claimed", "Skipped", "Waiting", "claim", "end", "end_campaign", "message_for", "put_back")

# Built once: SQLAlchemy takes longer to build such a statement than to run it.
_FIND = select(Mail, Campaign.state).outerjoin(Campaign).where(Mail.id == bindparam("mail_id")).with_for_update(of=Mail)
_END = (
    update(Mail)
    .where(Mail.id == bindparam("mail_id"), Mail.state.in_(bindparam("before", expanding=True)))
    .values(state=bindparam("to"), error=bindparam("said"), changed=bindparam("at"))
    .returning(Mail.campaign_id)
    .execution_options(synchronize_session=False)
)
_OPEN = (
    select(Mail.id)
    .where(Mail.campaign_id == bindparam("campaign_id"))
    .where(Mail.state.in_((MailState.PENDING, MailState.SENDING)))
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """The mail is this job's to send, now."""

    mail: Mail


@dataclass(frozen=True, slots=True)
class Waiting:
    """The rate limit is reached: ask again after ``seconds``."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """There is nothing to send, and why."""

    reason: str


def claim(mail_id: int, job_id: str) -> Claimed | Waiting | Skipped:
    """Take the mail for this job, if it may be sent at all and now."""
    with writing() as session:
        mail, campaign_state = session.execute(_FIND, {"mail_id": mail_id}).one_or_none() or (None, None)
        if mail is None:
            return Skipped("the mail is gone")
        interrupted = mail.state == MailState.SENDING and mail.claimed_by == job_id
        if interrupted and settings().uncertain_policy == "hold":
            _end(session, mail_id, (mail.state,), MailState.UNCERTAIN, "The worker died while it was sending.")
            return Skipped("the mail is uncertain")
        if mail.state == MailState.PENDING or interrupted:
            return _claim_open(session, mail, campaign_state, job_id)
        return Skipped(f"the mail is {mail.state}")


def message_for(mail: Mail) -> EmailMessage:
    """Build a mail's message. Raises ``ValueError`` where it cannot be, ``OSError`` for a missing attachment."""
    fields = {**mail.fields, "email": mail.address}
    attachments: list[Attachment] = []
    if mail.campaign_id is not None:
        campaign = _campaign(settings().database, mail.campaign_id)
        subject, text, html, attachments = campaign.subject, campaign.text, campaign.html, campaign.attachments
    else:
        subject, text, html = (standard_template(f"{mail.kind}.{part}") for part in ("subject", "txt", "html"))
    if mail.kind == MailKind.PASSWORD_RESET and mail.user_id is not None:
        fields["link"] = new_reset_link(mail.user_id)
    return compose(
        to=mail.address,
        subject=render(subject, fields),
        text=render(text, fields),
        html=render(html, fields, html=True) if html else "",
        message_id=mail.message_id,
        attachments=attachments,
    )


def end(mail_id: int, state: MailState, error: str | None = None) -> None:
    """Record how sending the mail ended, and with the last one that its campaign has ended."""
    with writing() as session:
        # Uncertain already: this job was taken for dead and was not, and so it knows better.
        _end(session, mail_id, (MailState.SENDING, MailState.UNCERTAIN), state, error)


def put_back(mail_id: int, error: str) -> float | None:
    """Return the mail for another attempt after so many seconds; ``None`` when that was the last one, and it failed."""
    with writing() as session:
        mail = session.get_one(Mail, mail_id, with_for_update=True)
        if mail.attempts >= settings().max_attempts:
            _end(session, mail_id, (mail.state,), MailState.FAILED, error)
            return None
        mail.state, mail.error, mail.changed = MailState.PENDING, error, now(session)
        # Apart from each other by a tenth, so that a server that comes back is not met by all of them at once.
        return float(settings().retry_backoff * 2 ** (mail.attempts - 1) * random.uniform(1.0, 1.1))


def end_campaign(session: Session, campaign_id: int) -> None:
    """Call the campaign finished if none of its mails is still to be sent."""
    if not is_sqlite(session):  # of two last mails that end together, neither would see the other's end
        session.get(Campaign, campaign_id, with_for_update=True)
    if session.scalar(_OPEN, {"campaign_id": campaign_id}) is None:
        finished = {"state": CampaignState.FINISHED, "ended": now(session)}
        running = (Campaign.id == campaign_id) & (Campaign.state == CampaignState.RUNNING)
        session.execute(update(Campaign).where(running).values(finished))


def _claim_open(
    session: Session, mail: Mail, campaign_state: CampaignState | None, job_id: str
) -> Claimed | Waiting | Skipped:
    if campaign_state not in (None, CampaignState.RUNNING):
        mail.queued, mail.turn = False, None
        return Skipped(f"the campaign is {campaign_state}")
    if seconds := wait_for_grant(session, mail, settings().rate_per_minute):
        return Waiting(seconds)
    mail.state, mail.claimed_by, mail.changed = MailState.SENDING, job_id, now(session)
    mail.attempts += 1
    return Claimed(mail)


def _end(
    session: Session, mail_id: int, before: tuple[MailState, ...], state: MailState, error: str | None = None
) -> None:
    values = {"mail_id": mail_id, "before": before, "to": state, "said": error, "at": now(session)}
    campaign_id = session.scalar(_END, values)
    if campaign_id is not None:
        end_campaign(session, campaign_id)


@lru_cache(maxsize=16)
def _campaign(_database: str, campaign_id: int) -> Campaign:
    """Return a campaign's texts and attachments, which do not change any more once it runs."""
    with reading() as session:
        return session.get_one(Campaign, campaign_id, options=[selectinload(Campaign.attachments)])
