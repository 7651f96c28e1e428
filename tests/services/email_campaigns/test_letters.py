"""Dead letters are replayed, uncertain mails are decided, and what the clock does is done once."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import select

from services.demo.mailbox import Mailbox
from services.email_campaigns import campaigns, database, tasks, upkeep
from services.email_campaigns.models import Attachment, Campaign, Mail, MailState, PasswordReset, User
from services.email_campaigns.sending import claim, end
from services.email_campaigns.storage import file_ages, save_file
from tests.services.email_campaigns.conftest import Configure, the_mail

Dispatched = list[tuple[str, tuple[object, ...], dict[str, object]]]
MakeMails = Callable[..., list[int]]


@pytest.fixture
def failed_and_uncertain(make_mails: MakeMails) -> tuple[int, int]:
    """A finished campaign of two mails, one failed, one uncertain."""
    failed, uncertain = make_mails(2)
    for mail_id, state in ((failed, MailState.FAILED), (uncertain, MailState.UNCERTAIN)):
        claim(mail_id, "job")
        end(mail_id, state, "why")
    assert campaigns.progress_of(1).state == "finished"
    return failed, uncertain


def test_c36_a_dead_letter_is_listed_and_replayed_once(
    client: httpx.Client, failed_and_uncertain: tuple[int, int], dispatched: Dispatched, mail_server: Mailbox
) -> None:
    failed, uncertain = failed_and_uncertain
    (letter,) = client.get("/mails", params={"state": "failed"}).json()
    assert (letter["id"], letter["error"], letter["attempts"]) == (failed, "why", 1)
    for expected in ([failed], []):
        assert client.post("/mails/replay", json={"mail_ids": [failed, uncertain, 99]}).json() == expected
    assert dispatched == [("send_mail", (failed,), {"priority": 3})]
    assert campaigns.progress_of(1).state == "running"
    assert tasks.send_mail.apply((failed,), task_id="replay").get() == "sent"
    assert campaigns.progress_of(1).state == "finished"


def test_a_person_decides_about_an_uncertain_mail(
    client: httpx.Client, failed_and_uncertain: tuple[int, int], dispatched: Dispatched
) -> None:
    failed, uncertain = failed_and_uncertain
    assert client.post(f"/mails/{failed}/decision", json={"verdict": "sent"}).status_code == 409
    assert client.post("/mails/99/decision", json={"verdict": "sent"}).status_code == 404
    message_id = the_mail(uncertain).message_id
    assert client.post(f"/mails/{uncertain}/decision", json={"verdict": "resend"}).json() == [uncertain]
    assert dispatched == [("send_mail", (uncertain,), {"priority": 3})]
    assert (the_mail(uncertain).state, the_mail(uncertain).message_id) == (MailState.PENDING, message_id)


def test_or_says_that_it_was_sent(
    client: httpx.Client, failed_and_uncertain: tuple[int, int], dispatched: Dispatched
) -> None:
    assert client.post(f"/mails/{failed_and_uncertain[1]}/decision", json={"verdict": "sent"}).json() == []
    assert (the_mail(failed_and_uncertain[1]).state, dispatched) == (MailState.SENT, [])


def test_nothing_of_a_cancelled_campaign_goes_out_again(
    client: httpx.Client, failed_and_uncertain: tuple[int, int], dispatched: Dispatched
) -> None:
    with database.writing() as session:
        session.get_one(Campaign, 1).state = campaigns.CampaignState.CANCELLED
    failed, uncertain = failed_and_uncertain
    assert client.post("/mails/replay", json={"mail_ids": [failed]}).json() == []
    assert client.post(f"/mails/{uncertain}/decision", json={"verdict": "resend"}).status_code == 409
    assert dispatched == []


def test_the_digest_counts_yesterday_and_is_made_once(make_mails: MakeMails, configure: Configure) -> None:
    today = datetime(2026, 5, 4, 7, tzinfo=UTC)
    assert upkeep.make_digest(today) is None, "there is no administrator"
    configure(admin_address="boss@example.test")
    ids = make_mails(3)
    with database.writing() as session:
        for mail_id, hour in zip(ids, (-1, 5, 23), strict=True):
            mail = session.get_one(Mail, mail_id)
            mail.state, mail.changed = MailState.SENT, datetime(2026, 5, 3, tzinfo=UTC).timestamp() + hour * 3600
    digest = upkeep.make_digest(today)
    assert digest is not None
    assert (digest.address, digest.fields["sent"], digest.fields["failed"]) == ("boss@example.test", 2, 0)
    assert upkeep.make_digest(today) is None


def test_the_digest_is_sent(make_mails: MakeMails, configure: Configure, mail_server: Mailbox) -> None:
    configure(admin_address="boss@example.test")
    digest = upkeep.make_digest(datetime(2026, 5, 4, tzinfo=UTC))
    assert digest is not None
    assert tasks.send_mail.apply((digest.id,), task_id="job").get() == "sent"
    assert mail_server.newest()[0].subject == "Mails of 2026-05-03: 0 sent, 0 failed, 0 uncertain"


def test_cleanup_drops_what_is_old_and_keeps_the_rest(
    make_mails: MakeMails, configure: Configure, tmp_path: object
) -> None:
    make_mails(1)
    make_mails(1, state="finished")
    keys = [save_file(io.BytesIO())[0] for _ in range(3)]
    with database.writing() as session:
        session.get_one(Campaign, 2).ended = 1.0
        for campaign_id, key in ((1, keys[0]), (2, keys[1])):
            session.add(Attachment(campaign_id=campaign_id, filename="a", content_type="a/b", size=0, key=key))
        session.add(user := User(address="a@example.test", name="A", password="x"))
        session.flush()
        session.add(PasswordReset(user_id=user.id, token_hash="x", expires=1.0))
    for path in (configure().folder / "files").iterdir():
        os.utime(path, (1, 1))
    fresh, _ = save_file(io.BytesIO())
    assert tasks.cleanup.apply(throw=True).get() == 2
    assert set(file_ages()) == {keys[0], fresh}
    with database.reading() as session:
        assert session.scalars(select(PasswordReset)).all() == []
