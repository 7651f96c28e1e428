"""What is done by the clock: finding what was left lying, tidying up, and the daily digest."""

import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, or_, select, update

from services.email_campaigns.database import insert_new, now, reading, writing
from services.email_campaigns.models import (
    Attachment,
    Campaign,
    CampaignState,
    Mail,
    MailKind,
    MailState,
    PasswordReset,
)
from services.email_campaigns.rate import forget_old_grants
from services.email_campaigns.sending import end_campaign
from services.email_campaigns.settings import settings
from services.email_campaigns.storage import delete_file, file_ages

__all__ = ("campaigns_to_start", "make_digest", "release_stuck", "single_mails_to_queue", "tidy_up")

_LEFT_LYING = 60.0
_DAY = 86_400.0


def single_mails_to_queue() -> list[Mail]:
    """Return the mails outside of campaigns that no job has been dispatched for since a minute."""
    with reading() as session:
        query = select(Mail).where(
            Mail.state == MailState.PENDING,
            Mail.queued.is_(False),
            Mail.campaign_id.is_(None),
            Mail.changed < now(session) - _LEFT_LYING,
        )
        return list(session.scalars(query.limit(1000)))


def campaigns_to_start() -> list[int]:
    """Return the campaigns whose start, or a part of it, was lost between the database and the queue."""
    with reading() as session:
        long_ago = now(session) - _LEFT_LYING
        unqueued = select(Mail.id).where(
            Mail.campaign_id == Campaign.id,
            Mail.state == MailState.PENDING,
            Mail.queued.is_(False),
        )
        overdue = (Campaign.state == CampaignState.SCHEDULED) & (Campaign.start_at < long_ago)
        left_lying = (Campaign.state == CampaignState.RUNNING) & (Campaign.touched < long_ago) & unqueued.exists()
        return list(session.scalars(select(Campaign.id).where(or_(overdue, left_lying))))


def release_stuck() -> None:
    """Settle the mails whose job is gone: those being sent are uncertain, the others are queued again."""
    with writing() as session:
        long_ago = now(session) - settings().stuck_after
        waits = func.coalesce(Mail.turn, 0.0) > long_ago
        lost = (Mail.state == MailState.PENDING) & Mail.queued & (Mail.changed < long_ago) & ~waits
        session.execute(update(Mail).where(lost).values(queued=False))
        sending = update(Mail).where(Mail.state == MailState.SENDING, Mail.changed < long_ago)
        if settings().uncertain_policy == "resend":
            session.execute(sending.values(state=MailState.PENDING, queued=False, changed=now(session)))
            return
        held = sending.values(state=MailState.UNCERTAIN, error="Its job is gone.", changed=now(session))
        for campaign_id in set(session.scalars(held.returning(Mail.campaign_id))):
            if campaign_id is not None:
                end_campaign(session, campaign_id)


def tidy_up() -> int:
    """Drop what nobody needs any more and return how many files went."""
    with writing() as session:
        at = now(session)
        forget_old_grants(session)
        session.execute(delete(PasswordReset).where(PasswordReset.expires < at))
        ended = select(Campaign.id).where(Campaign.ended < at - settings().keep_finished)
        session.execute(delete(Attachment).where(Attachment.campaign_id.in_(ended)))
        kept = set(session.scalars(select(Attachment.key)))
    # A day's grace: a file is written before the row that names it.
    orphans = [key for key, written in file_ages().items() if key not in kept and written < time.time() - _DAY]
    for key in orphans:
        delete_file(key)
    return len(orphans)


def make_digest(today: datetime | None = None) -> Mail | None:
    """Return yesterday's digest for the administrator, to be dispatched; ``None`` without one, or when it exists."""
    address = settings().admin_address
    if address is None:
        return None
    end = (today or datetime.now(UTC)).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=1)
    with writing() as session:
        query = select(Mail.state, func.count()).where(
            Mail.changed >= start.timestamp(), Mail.changed < end.timestamp(), Mail.kind != MailKind.DIGEST
        )
        counts = {state.value: count for state, count in session.execute(query.group_by(Mail.state))}
        fields = {"date": f"{start:%Y-%m-%d}", **{state.value: counts.get(state.value, 0) for state in MailState}}
        message_id = f"digest-{start:%Y-%m-%d}"
        row = {"kind": MailKind.DIGEST, "address": address, "message_id": message_id, "fields": fields}
        if not insert_new(session, Mail, [row]):
            return None
        return session.scalars(select(Mail).where(Mail.message_id == message_id)).one()
