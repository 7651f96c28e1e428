"""The way of one mail: claimed once, tried as often as allowed, never sent twice."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from services.demo.mailbox import Mailbox
from services.email_campaigns import campaigns, database, upkeep
from services.email_campaigns.models import Mail, MailState
from services.email_campaigns.sending import Claimed, Skipped, claim, end, put_back
from services.email_campaigns.smtp import Refused, TryLater
from services.email_campaigns.tasks import send_mail
from tests.services.email_campaigns.conftest import Configure, the_mail
from tests.services.email_campaigns.faulty_smtp import serving
from umbel import Snooze

MakeMails = Callable[..., list[int]]


def test_a_mail_is_sent_once_however_many_jobs_there_are(make_mails: MakeMails, mail_server: Mailbox) -> None:
    (mail_id,) = make_mails()
    said = [send_mail.apply((mail_id,), task_id=f"job-{number}").get() for number in range(3)]
    assert said == ["sent", "the mail is sent", "the mail is sent"]
    assert mail_server.recipients() == ["reader0@example.test"]
    assert campaigns.progress_of(1).state == "finished"


def test_fifty_racing_jobs_claim_a_mail_once(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    results: list[object] = []
    threads = [threading.Thread(target=lambda n=n: results.append(claim(mail_id, f"job-{n}"))) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 50
    assert sum(isinstance(result, Claimed) for result in results) == 1


def test_c32_a_second_delivery_of_a_job_that_died_sending_is_held(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    assert isinstance(claim(mail_id, "job"), Claimed)
    assert claim(mail_id, "job") == Skipped("the mail is uncertain")
    assert the_mail(mail_id).error == "The worker died while it was sending."
    assert campaigns.progress_of(1).state == "finished"


def test_c32_or_sent_again_under_the_same_message_id(make_mails: MakeMails, configure: Configure) -> None:
    configure(uncertain_policy="resend")
    (mail_id,) = make_mails()
    first, second = claim(mail_id, "job"), claim(mail_id, "job")
    assert isinstance(first, Claimed)
    assert isinstance(second, Claimed)
    assert first.mail.message_id == second.mail.message_id


def test_another_job_does_not_judge_a_mail_that_is_being_sent(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    claim(mail_id, "job")
    assert claim(mail_id, "another job") == Skipped("the mail is sending")
    assert the_mail(mail_id).state == MailState.SENDING


def test_a_job_that_was_taken_for_dead_and_was_not_knows_better(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    claim(mail_id, "job")
    claim(mail_id, "job")
    end(mail_id, MailState.SENT)
    assert the_mail(mail_id).state == MailState.SENT


def test_an_end_is_not_overwritten(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    claim(mail_id, "job")
    end(mail_id, MailState.SENT)
    end(mail_id, MailState.FAILED, "too late")
    assert the_mail(mail_id).state == MailState.SENT


def test_c27_three_attempts_and_then_a_dead_letter(make_mails: MakeMails, configure: Configure) -> None:
    (mail_id,) = make_mails()
    with serving("greeting 421", "recipient 451", "end 451") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        result = send_mail.apply((mail_id,), task_id="job")
        assert result.state == "FAILURE"
        assert isinstance(result.result, TryLater)
    mail = the_mail(mail_id)
    assert (mail.state, mail.attempts) == (MailState.FAILED, 3)
    assert mail.error == "The mail server answered 451 said the fault"
    assert server.delivered == []


def test_c27_an_attempt_that_failed_is_made_good(make_mails: MakeMails, configure: Configure) -> None:
    (mail_id,) = make_mails()
    with serving("drop at data", "recipient 451") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        assert send_mail.apply((mail_id,), task_id="job").get() == "sent"
    assert (the_mail(mail_id).attempts, len(server.delivered)) == (3, 1)


def test_c27_a_5xx_fails_at_once(make_mails: MakeMails, configure: Configure) -> None:
    (mail_id,) = make_mails()
    with serving("recipient 550") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        assert isinstance(send_mail.apply((mail_id,), task_id="job").result, Refused)
    assert (the_mail(mail_id).state, the_mail(mail_id).attempts) == (MailState.FAILED, 1)


def test_c27_no_answer_is_uncertain_and_not_sent_again(make_mails: MakeMails, configure: Configure) -> None:
    (mail_id,) = make_mails()
    with serving("drop after end") as server:
        configure(smtp_url=f"smtp://127.0.0.1:{server.port}")
        assert send_mail.apply((mail_id,), task_id="job").get() == "uncertain"
        assert send_mail.apply((mail_id,), task_id="job").get() == "the mail is uncertain"
    assert the_mail(mail_id).state == MailState.UNCERTAIN


def test_the_wait_doubles_with_each_attempt(make_mails: MakeMails, configure: Configure) -> None:
    configure(retry_backoff=10)
    (mail_id,) = make_mails()
    waits = []
    for _ in range(3):
        assert isinstance(claim(mail_id, "job"), Claimed)
        waits.append(put_back(mail_id, "down"))
    first, second, third = waits
    assert first is not None
    assert 10 <= first <= 11
    assert second is not None
    assert 20 <= second <= 22
    assert third is None


def test_c28_waiting_for_the_limit_uses_no_attempt(make_mails: MakeMails, configure: Configure) -> None:
    configure(rate_per_minute=1)
    first, second = make_mails(2)
    assert isinstance(claim(first, "job"), Claimed)
    said = send_mail(second)
    assert isinstance(said, Snooze)
    assert 59 < said.delay.total_seconds() <= 60
    assert (the_mail(second).attempts, the_mail(second).state) == (0, MailState.PENDING)


@pytest.mark.parametrize("state", ["paused", "cancelled"])
def test_nothing_is_sent_for_a_campaign_that_does_not_run(make_mails: MakeMails, state: str) -> None:
    (mail_id,) = make_mails(state=state, queued=True)
    assert claim(mail_id, "job") == Skipped(f"the campaign is {state}")
    assert (the_mail(mail_id).state, the_mail(mail_id).queued) == (MailState.PENDING, False)


def test_a_field_that_is_missing_fails_the_mail_and_says_which(make_mails: MakeMails) -> None:
    (mail_id,) = make_mails()
    with database.writing() as session:
        session.get_one(Mail, mail_id).fields = {}
    assert send_mail.apply((mail_id,), task_id="job").state == "FAILURE"
    assert the_mail(mail_id).state == MailState.FAILED
    assert "'name' is undefined" in (the_mail(mail_id).error or "")


def test_a_mail_whose_job_is_gone_is_found_again(make_mails: MakeMails, configure: Configure) -> None:
    """C14: neither a crash between claim and end nor a lost job leaves a mail for ever."""
    configure(stuck_after=1)
    sending, waiting = make_mails(2, queued=True)
    claim(sending, "job")
    with database.writing() as session:
        for mail in session.scalars(select(Mail)):
            mail.changed -= 10
    upkeep.release_stuck()
    assert the_mail(sending).state == MailState.UNCERTAIN
    assert (the_mail(waiting).state, the_mail(waiting).queued) == (MailState.PENDING, False)
