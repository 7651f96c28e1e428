"""The jobs. Their arguments are ids and nothing else: no address, no token, no file."""

import logging
from collections.abc import Iterable
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded
from celery.schedules import crontab
from kombu.exceptions import OperationalError as BrokerDown
from sqlalchemy.exc import OperationalError

from services.email_campaigns import campaigns, upkeep
from services.email_campaigns.models import Mail, MailKind, MailState
from services.email_campaigns.sending import Claimed, Waiting, claim, end, message_for, put_back
from services.email_campaigns.smtp import Refused, TryLater, Unanswered, deliver
from umbel import RetryLater, Snooze, Umbel, progress
from umbel.errors import DispatchError

__all__ = (
    "NOT_QUEUED",
    "cleanup",
    "daily_digest",
    "dispatch",
    "dispatch_start",
    "jobs",
    "send_mail",
    "start_campaign",
    "sweep",
)

#: What dispatching raises when the broker cannot be reached, Umbel's own and as Celery has it.
NOT_QUEUED = (DispatchError, BrokerDown)

_log = logging.getLogger(__name__)

jobs = Umbel("email_campaigns")
jobs.conf.task_default_queue = "email"
jobs.conf.beat_schedule = {
    "sweep": {"task": "email_campaigns.sweep", "schedule": 60.0, "options": {"priority": 4, "expires": 50}},
    "daily digest": {"task": "email_campaigns.daily_digest", "schedule": crontab(hour="7", minute="0")},
    "cleanup": {"task": "email_campaigns.cleanup", "schedule": crontab(hour="3", minute="30")},
}


# The attempts are counted with the mail, where a crash does not lose them; waiting for the rate limit is none.
@jobs.task(
    bind=True,
    name="email_campaigns.send_mail",
    max_retries=None,
    autoretry_for=(OperationalError,),
    retry_backoff=True,
    soft_time_limit=240,
    time_limit=300,
)
def send_mail(self: Any, mail_id: int) -> str | Snooze:
    """Send one mail, at most once; return what became of it."""
    taken = claim(mail_id, self.request.id)
    if isinstance(taken, Waiting):
        return Snooze(taken.seconds, "the rate limit is reached")
    if not isinstance(taken, Claimed):
        return taken.reason
    try:
        deliver(message_for(taken.mail))
    except (TryLater, OperationalError) as error:
        delay = put_back(mail_id, str(error))
        if delay is None:
            raise
        raise RetryLater(delay) from error
    except (Unanswered, SoftTimeLimitExceeded) as error:
        end(mail_id, MailState.UNCERTAIN, str(error))
        return "uncertain"
    except (Refused, ValueError, OSError) as error:
        end(mail_id, MailState.FAILED, str(error))
        raise
    end(mail_id, MailState.SENT)
    return "sent"


@jobs.task(name="email_campaigns.start_campaign")
def start_campaign(campaign_id: int) -> int:
    """Dispatch a job for each recipient that has none, and return how many. Killed half-way, it may just run again."""
    if not campaigns.begin(campaign_id):
        return 0
    total, done = campaigns.progress_of(campaign_id).pending, 0
    for page in campaigns.pages_to_queue(campaign_id):
        for _ in send_mail.enqueue_many(((mail_id,) for mail_id in page), priority=MailKind.CAMPAIGN.priority):
            done += 1
        campaigns.mark_queued(page)
        progress(done, max(done, total), "queued")
    return done


@jobs.task(name="email_campaigns.sweep")
def sweep() -> None:
    """Find what was left between the database and the queue, and settle what has no job any more."""
    upkeep.release_stuck()
    dispatch(upkeep.single_mails_to_queue())
    for campaign_id in upkeep.campaigns_to_start():
        dispatch_start(campaign_id)


@jobs.task(name="email_campaigns.daily_digest")
def daily_digest() -> None:
    """Mail the administrator what was sent yesterday; a second run finds it done."""
    mail = upkeep.make_digest()
    if mail is not None:
        dispatch([mail])


@jobs.task(name="email_campaigns.cleanup")
def cleanup() -> int:
    """Drop old grants, reset links and files."""
    return upkeep.tidy_up()


def dispatch_start(campaign_id: int, delay: float = 0.0) -> None:
    """Queue a campaign's start. Raises one of ``NOT_QUEUED``, and then :func:`sweep` starts it."""
    start_campaign.apply_async((campaign_id,), countdown=delay, priority=8)


def dispatch(mails: Iterable[Mail]) -> None:
    """Queue the mails. When the broker is down they wait in the database, and :func:`sweep` queues them."""
    for mail in mails:
        try:
            send_mail.apply_async((mail.id,), priority=mail.kind.priority)
        except NOT_QUEUED as error:
            _log.warning("Mail %d stays in the database until the next sweep: %s", mail.id, error)
            continue
        campaigns.mark_queued([mail.id])
