"""The whole service, as users run it: two processes of ours, a real SMTP server, nothing replaced."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from tests.services.email_campaigns.conftest import until
from tests.services.email_campaigns.faulty_smtp import serving
from tests.services.email_campaigns.running import running

ADA = {"email": "ada@example.test", "name": "Ada", "password": "correct horse"}


def test_registration_mails_a_welcome_and_the_job_can_be_asked_for(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        service.start_worker("--processes", "1")
        service.post("/register", json=ADA)
        until(lambda: service.mailbox.count() == 1)
        assert service.mailbox.newest()[0].subject == "Welcome, Ada"
        assert service.client.get("/jobs/nobody-knows").status_code == 404


def test_c8_a_reset_goes_before_a_welcome_before_the_campaign(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        path = service.new_campaign(30)
        service.post(f"{path}/start")
        first = service.start_worker("--processes", "1", "-c", "1")
        until(lambda: service.mailbox.count() >= 1)
        first.terminate()
        assert first.wait(60) == 0
        sent_before = service.mailbox.count()
        assert sent_before < 30
        service.post("/register", json=ADA)
        service.client.post("/password-reset", json={"email": ADA["email"]}).raise_for_status()
        service.start_worker("--processes", "1", "-c", "1")
        service.wait_until_finished(path)
        subjects = [mail.subject for mail in reversed(service.mailbox.newest())][sent_before:]
    reset, welcome = subjects.index("Set a new password"), subjects.index("Welcome, Ada")
    assert reset < welcome
    assert welcome <= 3, "one job may be fetched ahead of them, and no more"


def test_attachments_and_templates_arrive(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        path = service.new_campaign(2, subject="Grüße, {{ name }}")
        service.post(f"{path}/attachments", files={"file": ("plan.pdf", b"%PDF-1.7", "application/pdf")})
        service.start_worker("--processes", "1")
        service.post(f"{path}/start")
        service.wait_until_finished(path)
        message = service.mailbox.read(1)
    assert message is not None
    assert message["Subject"].startswith("Grüße, Reader ")
    (part,) = message.iter_attachments()
    assert (part.get_filename(), part.get_content()) == ("plan.pdf", b"%PDF-1.7")


def test_a_campaign_waits_for_its_time(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        path = service.new_campaign(3)
        service.start_worker("--processes", "1")
        at = datetime.now(UTC) + timedelta(seconds=4)
        service.post(f"{path}/start", json={"at": at.isoformat()})
        assert service.progress(path)["state"] == "scheduled"
        service.wait_until_finished(path)
        assert min(mail.received for mail in service.mailbox.newest()) >= at.timestamp() - 1


def test_pause_holds_the_rest_and_resume_sends_it_once(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        path = service.new_campaign(200)
        service.start_worker("--processes", "1", "-c", "2")
        service.post(f"{path}/start")
        until(lambda: service.mailbox.count() >= 5)
        service.post(f"{path}/pause")
        until(lambda: service.progress(path)["sending"] == 0)
        held = service.mailbox.count()
        assert held < 200
        until(lambda: service.ask("SELECT count(*) FROM mails WHERE state = 'pending' AND queued") == [0])
        assert service.mailbox.count() == held
        service.post(f"{path}/resume")
        assert service.wait_until_finished(path)["sent"] == 200
        assert max(Counter(service.mailbox.recipients()).values()) == 1


def test_c27_a_server_that_is_down_costs_time_and_no_mail(tmp_path: Path) -> None:
    faults = ["greeting 421", "drop at greeting", "recipient 451", "drop at data", "end 451"]
    with serving(*faults) as server, running(tmp_path, smtp_port=server.port) as service:
        path = service.new_campaign(20)
        service.start_worker("--processes", "1", "-c", "4")
        service.post(f"{path}/start")
        ended = service.wait_until_finished(path)
        assert ended["sent"] == 20
    assert server.faults == []
    assert len(server.delivered) == 20


def test_c27_refused_and_unanswered_mails_are_listed(tmp_path: Path) -> None:
    with serving("recipient 550", "drop after end") as server, running(tmp_path, smtp_port=server.port) as service:
        path = service.new_campaign(10)
        service.start_worker("--processes", "1", "-c", "1")
        service.post(f"{path}/start")
        ended = service.wait_until_finished(path)
        assert (ended["sent"], ended["failed"], ended["uncertain"]) == (8, 1, 1)
        (letter,) = service.client.get("/mails", params={"state": "failed"}).json()
        assert letter["error"] == "The mail server answered 550 said the fault"
        assert service.client.post("/mails/replay", json={"mail_ids": [letter["id"]]}).json() == [letter["id"]]
        assert service.wait_until_finished(path)["sent"] == 9
    assert len(server.delivered) == 9


def test_c33_two_processes_together_keep_the_limit(tmp_path: Path) -> None:
    """Thirty mails a minute for forty mails: thirty at once, the rest only when the first are a minute old."""
    with running(tmp_path, rate_per_minute=30) as service:
        path = service.new_campaign(40)
        service.start_worker("--processes", "2")
        service.post(f"{path}/start")
        until(lambda: service.mailbox.count() == 30)
        until(lambda: service.progress(path)["pending"] == 10)
        query = "SELECT turn FROM mails WHERE turn IS NOT NULL ORDER BY turn"
        until(lambda: len(service.ask(query)) == 10)
        turns = service.ask(query)
        (first,) = service.ask("SELECT min(at) FROM grants")
        assert turns[0] >= first + 60
        assert all(later - earlier > 1.9 for earlier, later in pairwise(turns))


def test_c14_every_part_may_be_stopped_and_started_again(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        path = service.new_campaign(150)
        service.post(f"{path}/start")
        for _ in range(3):
            sent = service.mailbox.count()
            worker = service.start_worker("--processes", "1", "-c", "2")
            until(lambda sent=sent: service.mailbox.count() > sent or service.progress(path)["state"] == "finished")
            worker.terminate()
            assert worker.wait(60) == 0
        service.start_worker("--processes", "1")
        assert service.wait_until_finished(path)["sent"] == 150
        assert max(Counter(service.mailbox.recipients()).values()) == 1
