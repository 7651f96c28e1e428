"""The same promises on PostgreSQL, where transactions really run side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator

import pytest

from services.email_campaigns import accounts, campaigns, database, letters, upkeep
from services.email_campaigns.models import Base, MailState
from services.email_campaigns.sending import Claimed, Waiting, claim, end
from tests.services.email_campaigns.conftest import Configure, the_mail

MakeMails = Callable[..., list[int]]


@pytest.fixture
def server(postgres_server: str) -> str:
    """The URL of a private PostgreSQL, as SQLAlchemy takes it."""
    return postgres_server


@pytest.fixture(autouse=True)
def _on_postgresql(server: str, configure: Configure) -> Iterator[None]:
    """Set the database, without a row."""
    configure(database_url=server)
    yield
    engine = database._engine(server, os.getpid())
    Base.metadata.drop_all(engine)
    engine.dispose()
    database._engine.cache_clear()


def race(count: int, work: Callable[[int], object]) -> list[object]:
    results: list[object] = []
    threads = [threading.Thread(target=lambda n=n: results.append(work(n))) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == count
    return results


def test_a_mail_is_claimed_once(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    results = race(20, lambda n: claim(mail_id, f"job-{n}"))
    assert sum(isinstance(result, Claimed) for result in results) == 1


def test_c33_the_limit_holds(make_mails: MakeMails, configure: Configure) -> None:
    configure(rate_per_minute=7)
    mails = make_mails(20)
    results = race(20, lambda n: claim(mails[n], f"job-{n}"))
    assert sum(isinstance(result, Claimed) for result in results) == 7
    assert sum(isinstance(result, Waiting) for result in results) == 13


def test_two_last_mails_that_end_together_end_the_campaign(make_mails: MakeMails) -> None:
    for _ in range(10):
        mails = make_mails(2)
        for mail_id in mails:
            claim(mail_id, "job")
        race(2, lambda n, mails=mails: end(mails[n], MailState.SENT))
        assert campaigns.progress_of(the_mail(mails[0]).campaign_id or 0).state == "finished"


def test_the_rest_of_the_service(make_mails: MakeMails, configure: Configure) -> None:
    configure(admin_address="boss@example.test")
    (mail_id,) = make_mails()
    accounts.register("ada@example.test", "Ada", "correct horse")
    reset = accounts.request_reset("ada@example.test")
    assert reset is not None
    token = accounts.new_reset_link(reset.user_id or 0).partition("token=")[2]
    accounts.set_password(token, "a new one")
    assert list(campaigns.pages_to_queue(1)) == [[mail_id]]
    campaigns.mark_queued([mail_id])
    claim(mail_id, "job")
    end(mail_id, MailState.FAILED, "why")
    assert [mail.id for mail in letters.replay([mail_id])] == [mail_id]
    upkeep.release_stuck()
    assert (upkeep.campaigns_to_start(), upkeep.single_mails_to_queue(), upkeep.tidy_up()) == ([], [], 0)
    assert upkeep.make_digest() is not None
    assert upkeep.make_digest() is None
