"""The limit of mails a minute, over all workers, exact in any minute.

A grant is a row with its time, given while nobody else can give one. The next may be given when the one that lies
``per_minute`` grants back is a minute old, whatever the workers were doing meanwhile. It costs two statements by
primary key inside the claim's transaction.
"""

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.orm import Session, aliased

from services.email_campaigns.database import is_sqlite, now
from services.email_campaigns.models import Grant, Mail, MailKind

__all__ = ("forget_old_grants", "wait_for_grant")

_WINDOW = 60.0
_LOCK = 0x756D62656C  # any number of our own
_newest, _oldest = aliased(Grant), aliased(Grant)
_GRANTS = (
    select(_newest.id, _oldest.at)
    .outerjoin(_oldest, _oldest.id == _newest.id - bindparam("back"))
    .order_by(_newest.id.desc())
    .limit(1)
)


def wait_for_grant(session: Session, mail: Mail, per_minute: int) -> float:
    """Take a grant for the mail and return 0, or return the seconds until it should ask again.

    Mails of a campaign are given turns one behind the other, so that each asks again once; a mail that somebody waits
    for asks again as soon as the limit opens, ahead of them.
    """
    if not is_sqlite(session):
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    at, (last, oldest) = now(session), _last_and_oldest(session, per_minute)
    opens = oldest + _WINDOW - at
    if opens <= 0:
        session.add(Grant(id=last + 1, at=at))
        mail.turn = None
        return 0.0
    if mail.kind == MailKind.CAMPAIGN and mail.turn is None:
        behind = session.scalar(select(func.max(Mail.turn))) or 0.0
        mail.turn = max(at + opens, behind + _WINDOW / per_minute)
    else:
        mail.turn = at + opens
    return mail.turn - at


def forget_old_grants(session: Session) -> None:
    """Drop the grants that no minute can reach any more; the last one stays, to be counted on from."""
    last = select(func.max(Grant.id)).scalar_subquery()
    session.execute(delete(Grant).where(Grant.at < now(session) - 60 * _WINDOW, Grant.id < last))


def _last_and_oldest(session: Session, per_minute: int) -> tuple[int, float]:
    """Return the id of the last grant, and the time of the one that must be a minute old before the next."""
    last, at = session.execute(_GRANTS, {"back": per_minute - 1}).one_or_none() or (0, None)
    return last, at or 0.0
