"""C33: never more than so many mails in any minute, whoever asks and when; each gets its turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from services.email_campaigns import database, rate
from services.email_campaigns.models import Grant, Mail, MailKind
from services.email_campaigns.sending import Claimed, Waiting, claim
from tests.services.email_campaigns.conftest import Configure, the_mail

MakeMails = Callable[..., list[int]]


class Clock:
    """The database's time, which only moves when told."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self, _session: object) -> float:
        return self.time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """A clock for the limit."""
    found = Clock()
    monkeypatch.setattr(rate, "now", found)
    return found


@given(
    limit=st.integers(1, 5),
    pauses=st.lists(st.floats(0, 90, allow_nan=False) | st.sampled_from([0.0, 59.999, 60.0]), max_size=40),
)
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_c33_no_minute_has_more_grants_than_the_limit(
    configure: Configure, clock: Clock, limit: int, pauses: list[float]
) -> None:
    _forget()
    with database.writing() as session:
        for pause in pauses:
            clock.time += pause
            rate.wait_for_grant(session, Mail(kind=MailKind.WELCOME), limit)
        granted = list(session.scalars(select(Grant.at).order_by(Grant.id)))
    for at in granted:
        assert sum(at <= other < at + 60 for other in granted) <= limit


def test_c33_fifty_racing_jobs_get_no_more_than_the_limit(make_mails: MakeMails, configure: Configure) -> None:
    configure(rate_per_minute=7)
    mails, results = make_mails(50), list[object]()
    threads = [threading.Thread(target=lambda m=m: results.append(claim(m, f"job-{m}"))) for m in mails]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, Claimed) for result in results) == 7
    assert sum(isinstance(result, Waiting) for result in results) == 43


def test_c33_each_waits_once_for_its_own_turn(make_mails: MakeMails, configure: Configure, clock: Clock) -> None:
    configure(rate_per_minute=2)
    mails = make_mails(6)
    waits = [claim(mail, f"job-{mail}") for mail in mails]
    assert [type(wait) for wait in waits] == [Claimed] * 2 + [Waiting] * 4
    turns = [(mail, wait.seconds) for mail, wait in zip(mails, waits, strict=True) if isinstance(wait, Waiting)]
    assert [seconds for _, seconds in turns] == [60, 90, 120, 150]
    start = clock.time
    for mail, seconds in turns:
        clock.time = start + seconds
        assert isinstance(claim(mail, f"job-{mail}"), Claimed)


def test_c33_a_mail_that_somebody_waits_for_is_not_behind_the_campaign(
    make_mails: MakeMails, configure: Configure, clock: Clock
) -> None:
    configure(rate_per_minute=2)
    for mail in make_mails(20):
        claim(mail, f"job-{mail}")
    with database.writing() as session:
        session.add(mail := Mail(kind=MailKind.PASSWORD_RESET, address="ada@example.test"))
    assert claim(mail.id, "reset") == Waiting(60)


def test_turns_that_a_pause_gave_up_are_free_again(make_mails: MakeMails, configure: Configure, clock: Clock) -> None:
    from services.email_campaigns import campaigns

    configure(rate_per_minute=1)
    for mail in make_mails(20):
        claim(mail, f"job-{mail}")
    campaigns.pause(the_mail(1).campaign_id or 0)
    (other,) = make_mails(1)
    assert claim(other, "other") == Waiting(60)


def test_old_grants_are_forgotten_and_recent_ones_kept(configure: Configure, clock: Clock) -> None:
    with database.writing() as session:
        for pause in (0, 7200, 10):
            clock.time += pause
            rate.wait_for_grant(session, Mail(kind=MailKind.WELCOME), 2)
        rate.forget_old_grants(session)
        assert len(session.scalars(select(Grant)).all()) == 2
        assert rate.wait_for_grant(session, Mail(kind=MailKind.WELCOME), 2) == 50


def _forget() -> None:
    with database.writing() as session:
        session.execute(delete(Grant))
