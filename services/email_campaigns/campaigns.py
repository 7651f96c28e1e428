"""What may happen to a campaign, and how far it is. Each change is one transaction that checks where it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from services.email_campaigns.database import now, reading, writing
from services.email_campaigns.models import Campaign, CampaignState, Mail, MailState
from services.email_campaigns.sending import end_campaign

__all__ = (
    "NotPossible",
    "Progress",
    "begin",
    "cancel",
    "get",
    "mark_queued",
    "pages_to_queue",
    "pause",
    "progress_of",
    "resume",
    "schedule",
)

_PAGE = 500


class NotPossible(Exception):
    """The campaign is not in a state that allows this, or is not ready for it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of a campaign's recipients are in each state."""

    state: CampaignState
    total: int
    pending: int
    sending: int
    sent: int
    failed: int
    uncertain: int


#: The states in which a campaign takes recipients and attachments.
OPEN = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.PAUSED)


def get(session: Session, campaign_id: int, *states: CampaignState) -> Campaign:
    """Return the campaign, locked. Raises ``LookupError``, and :class:`NotPossible` in none of ``states``."""
    campaign = session.get(Campaign, campaign_id, with_for_update=True)
    if campaign is None:
        raise LookupError(f"There is no campaign {campaign_id}.")
    if states and campaign.state not in states:
        raise NotPossible(f"The campaign is {campaign.state}; this needs it {' or '.join(states)}.")
    return campaign


def schedule(campaign_id: int, start_at: float | None) -> float:
    """Let the campaign start at a unix time, now by default; return the seconds until then."""
    with writing() as session:
        campaign = get(session, campaign_id, CampaignState.DRAFT, CampaignState.SCHEDULED)
        if session.scalar(select(Mail.id).where(Mail.campaign_id == campaign_id).limit(1)) is None:
            raise NotPossible("The campaign has no recipients: upload a CSV first.")
        at = now(session)
        campaign.state, campaign.start_at = CampaignState.SCHEDULED, max(start_at or at, at)
        return campaign.start_at - at


def begin(campaign_id: int) -> bool:
    """Make a scheduled campaign run if its time has come; return whether it runs."""
    with writing() as session:
        campaign = session.get(Campaign, campaign_id, with_for_update=True)
        if campaign is None:
            return False
        # The start was moved: the job for the new time does it. Clocks may differ by a second.
        due = campaign.start_at is None or campaign.start_at <= now(session) + 1.0
        if campaign.state == CampaignState.SCHEDULED and due:
            campaign.state, campaign.started = CampaignState.RUNNING, now(session)
        campaign.touched = now(session)
        return campaign.state == CampaignState.RUNNING


def pause(campaign_id: int) -> None:
    """Send no more until :func:`resume`; what is being sent now still ends."""
    with writing() as session:
        get(session, campaign_id, CampaignState.RUNNING).state = CampaignState.PAUSED
        _give_up_turns(session, campaign_id)


def resume(campaign_id: int) -> None:
    """Go on sending; ``start_campaign`` must be dispatched after it."""
    with writing() as session:
        get(session, campaign_id, CampaignState.PAUSED).state = CampaignState.RUNNING
        session.flush()
        end_campaign(session, campaign_id)


def cancel(campaign_id: int) -> None:
    """Send no more, for ever."""
    open_states = set(CampaignState) - {CampaignState.CANCELLED, CampaignState.FINISHED}
    with writing() as session:
        campaign = get(session, campaign_id, *sorted(open_states))
        campaign.state, campaign.ended = CampaignState.CANCELLED, now(session)
        _give_up_turns(session, campaign_id)


def pages_to_queue(campaign_id: int) -> Iterator[list[int]]:
    """Give the ids of the running campaign's mails that no job has been dispatched for, a page at a time."""
    last = 0
    while True:
        with reading() as session:
            query = (
                select(Mail.id)
                .join(Campaign)
                .where(Campaign.id == campaign_id, Campaign.state == CampaignState.RUNNING, Mail.id > last)
                .where(Mail.state == MailState.PENDING, Mail.queued.is_(False))
            )
            page = list(session.scalars(query.order_by(Mail.id).limit(_PAGE)))
        if not page:
            return
        last = page[-1]
        yield page


def mark_queued(mail_ids: list[int]) -> None:
    """Note that jobs for these mails have been dispatched, but for those whose campaign was paused meanwhile."""
    with writing() as session:
        running = select(Campaign.id).where(Campaign.state == CampaignState.RUNNING)
        mails = update(Mail).where(Mail.id.in_(mail_ids), Mail.campaign_id.is_(None) | Mail.campaign_id.in_(running))
        session.execute(mails.values(queued=True))
        touched = select(Mail.campaign_id).where(Mail.id.in_(mail_ids))
        session.execute(update(Campaign).where(Campaign.id.in_(touched)).values(touched=now(session)))


def progress_of(campaign_id: int) -> Progress:
    """Count the campaign's recipients by state. Raises ``LookupError``."""
    with reading() as session:
        state = session.scalar(select(Campaign.state).where(Campaign.id == campaign_id))
        if state is None:
            raise LookupError(f"There is no campaign {campaign_id}.")
        query = select(Mail.state, func.count()).where(Mail.campaign_id == campaign_id).group_by(Mail.state)
        counts = dict(session.execute(query).all())
    return Progress(state, sum(counts.values()), **{each.value: counts.get(each, 0) for each in MailState})


def _give_up_turns(session: Session, campaign_id: int) -> None:
    waiting = update(Mail).where(Mail.campaign_id == campaign_id, Mail.turn.is_not(None))
    session.execute(waiting.values(turn=None))
