"""A campaign over HTTP: from draft to its end, who may, and what is refused."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from kombu.exceptions import OperationalError
from sqlalchemy import select

from services.email_campaigns import campaigns, database, tasks, upkeep
from services.email_campaigns.models import Attachment, Mail, MailState
from services.email_campaigns.sending import claim, end
from tests.services.email_campaigns.conftest import Configure
from umbel.errors import DispatchError

Dispatched = list[tuple[str, tuple[object, ...], dict[str, object]]]
MakeMails = Callable[..., list[int]]

SPRING = {"name": "Spring", "subject": "Hi {{ name }}", "text": "Dear {{ name }}", "html": "<p>{{ name }}</p>"}
CSV = b"email,name\na@example.test,Ann\nb@example.test,Bob\n"


@pytest.fixture
def spring(client: httpx.Client, dispatched: Dispatched) -> str:
    """The path of a campaign with two recipients."""
    path = f"/campaigns/{client.post('/campaigns', json=SPRING).json()['id']}"
    assert client.post(f"{path}/recipients", files={"file": ("r.csv", CSV)}).json()["imported"] == 2
    return path


def test_start_dispatches_the_start_and_that_each_mail(
    client: httpx.Client, spring: str, dispatched: Dispatched, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.post(f"{spring}/start").json()["state"] == "scheduled"
    assert dispatched == [("start_campaign", (1,), {"countdown": 0.0, "priority": 8})]
    queued = _record_many(monkeypatch)
    assert tasks.start_campaign.apply((1,)).get() == 2
    assert queued == [((1,), 3), ((2,), 3)]
    assert client.get(spring).json()["state"] == "running"


def test_a_start_that_was_killed_half_way_dispatches_only_the_rest(
    make_mails: MakeMails, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = make_mails(1200)
    queued = _record_many(monkeypatch, fail_after=700)
    with pytest.raises(ConnectionError):
        tasks.start_campaign.apply((1,), throw=True)
    assert len(queued) == 700
    queued = _record_many(monkeypatch)
    tasks.start_campaign.apply((1,), throw=True)
    assert [args[0] for args, _ in queued] == ids[500:]


def test_a_campaign_starts_at_its_time_and_the_time_can_be_moved(
    client: httpx.Client, spring: str, dispatched: Dispatched
) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    client.post(f"{spring}/start", json={"at": later.isoformat()})
    delay = dispatched[-1][2]["countdown"]
    assert isinstance(delay, float)
    assert 3500 < delay <= 3600
    assert tasks.start_campaign.apply((1,)).get() == 0, "the job of another time does nothing"
    assert client.get(spring).json()["state"] == "scheduled"
    client.post(f"{spring}/start")
    assert campaigns.begin(1)


def test_a_time_without_a_zone_is_refused(client: httpx.Client, spring: str) -> None:
    assert client.post(f"{spring}/start", json={"at": "2030-01-01T10:00:00"}).status_code == 422


def test_pause_resume_cancel_and_what_they_refuse(client: httpx.Client, spring: str, dispatched: Dispatched) -> None:
    assert client.post(f"{spring}/pause").status_code == 409
    client.post(f"{spring}/start")
    campaigns.begin(1)
    assert client.post(f"{spring}/pause").json()["state"] == "paused"
    assert client.post(f"{spring}/resume").json()["state"] == "running"
    assert dispatched[-1][0] == "start_campaign"
    assert client.post(f"{spring}/cancel").json()["state"] == "cancelled"
    for action in ("start", "pause", "resume", "cancel"):
        answer = client.post(f"{spring}/{action}")
        assert answer.status_code == 409
        assert answer.json()["detail"].startswith("The campaign is cancelled;")


def test_a_mail_that_was_skipped_while_paused_is_dispatched_again(
    make_mails: MakeMails, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _still_queued = make_mails(2, queued=True)
    campaigns.pause(1)
    claim(first, "job")
    campaigns.resume(1)
    queued = _record_many(monkeypatch)
    tasks.start_campaign.apply((1,))
    assert [args for args, _ in queued] == [(first,)], "the other one's job is still in the queue"


def test_no_recipients_and_no_campaign(client: httpx.Client, dispatched: Dispatched) -> None:
    client.post("/campaigns", json=SPRING)
    answer = client.post("/campaigns/1/start")
    assert (answer.status_code, answer.json()["detail"]) == (409, "The campaign has no recipients: upload a CSV first.")
    for path in ("", "/progress", "/events"):
        assert client.get(f"/campaigns/99{path}").status_code == 404
    assert dispatched == []


def test_a_template_with_a_mistake_is_a_422(client: httpx.Client) -> None:
    answer = client.post("/campaigns", json=SPRING | {"html": "{% if %}"})
    assert (answer.status_code, answer.json()["detail"][:27]) == (422, "The template has a mistake:")


def test_recipients_of_a_running_campaign_are_refused(client: httpx.Client, spring: str) -> None:
    client.post(f"{spring}/start")
    campaigns.begin(1)
    assert client.post(f"{spring}/recipients", files={"file": ("r.csv", CSV)}).status_code == 409


def test_attachments_are_stored_and_bounded_and_named_safely(
    client: httpx.Client, spring: str, configure: Configure
) -> None:
    configure(max_attachments=100)
    stored = client.post(f"{spring}/attachments", files={"file": ("../../etc\\plan.pdf", b"x" * 60, "text/x; a=b")})
    assert (stored.status_code, stored.json()) == (201, {"id": 1, "filename": "plan.pdf", "size": 60})
    assert client.post(f"{spring}/attachments", files={"file": ("b.pdf", b"x" * 60)}).status_code == 413
    with database.reading() as session:
        (kept,) = session.scalars(select(Attachment)).all()
    files = configure().folder / "files"
    assert [path.name for path in files.iterdir()] == [kept.key], "a refused file is removed"


def test_progress_is_streamed_until_the_end(client: httpx.Client, make_mails: MakeMails) -> None:
    """C21: from where it is to its total, by server-sent events."""
    ids = make_mails(3)
    seen = []
    with client.stream("GET", "/campaigns/1/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data:"):
                seen.append(json.loads(line.removeprefix("data:")))
                if ids:
                    claim(ids[0], "job")
                    end(ids.pop(0), MailState.SENT)
    assert [now["sent"] for now in seen] == [0, 1, 2, 3]
    assert (seen[-1]["state"], seen[-1]["total"]) == ("finished", 3)


def test_without_a_token_only_this_machine_gets_in(client: httpx.Client) -> None:
    """C44: a proxy, a foreign name and a foreign page make nobody local."""
    for headers in ({}, {"Origin": str(client.base_url).rstrip("/")}):
        assert client.get("/campaigns", headers=headers).status_code == 200
    for headers in (
        {"X-Forwarded-For": "1.2.3.4"},
        {"Forwarded": "for=1.2.3.4"},
        {"Host": "evil.example"},
        {"Origin": "null"},
    ):
        assert client.get("/campaigns", headers=headers).status_code == 403
        assert client.get("/mails?state=failed", headers=headers).status_code == 403


def test_with_a_token_only_who_has_it(client: httpx.Client, configure: Configure) -> None:
    configure(admin_token="s3cret-tökén")
    assert client.get("/campaigns").status_code == 401
    assert client.get("/campaigns", headers={"Authorization": "Bearer wrong"}).status_code == 401
    right = {"Authorization": "Bearer s3cret-tökén".encode()}
    assert client.get("/campaigns", headers=right).status_code in (200, 401)
    configure(admin_token="plain")
    assert client.get("/campaigns", headers={"Authorization": "Bearer plain"}).status_code == 200


@pytest.mark.parametrize("error", [DispatchError, OperationalError])
def test_a_broker_that_is_down_loses_nothing(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """C12 in its simplest form: what was not dispatched is found by the sweep."""

    def refuse(*_args: object, **_options: object) -> None:
        raise error("The broker is down: start it.")

    with monkeypatch.context() as patch:
        patch.setattr(tasks.send_mail, "apply_async", refuse)
        patch.setattr(tasks.start_campaign, "apply_async", refuse)
        body = {"email": "ada@example.test", "name": "Ada", "password": "correct horse"}
        assert client.post("/register", json=body).status_code == 201
        client.post("/campaigns", json=SPRING)
        client.post("/campaigns/1/recipients", files={"file": ("r.csv", CSV)})
        assert client.post("/campaigns/1/start").status_code == 503
    monkeypatch.setattr(upkeep, "now", lambda _session: time.time() + 120)
    found: list[tuple[str, object]] = []
    monkeypatch.setattr(tasks.send_mail, "apply_async", lambda args, **_: found.append(("send", args)))
    monkeypatch.setattr(tasks.start_campaign, "apply_async", lambda args, **_: found.append(("start", args)))
    tasks.sweep.apply(throw=True)
    assert found == [("send", (1,)), ("start", (1,))]


def _record_many(monkeypatch: pytest.MonkeyPatch, fail_after: int = 10**9) -> list[tuple[tuple[int, ...], int]]:
    queued: list[tuple[tuple[int, ...], int]] = []

    def enqueue_many(items: list[tuple[int, ...]], *, priority: int) -> object:
        for item in items:
            if len(queued) == fail_after:
                raise ConnectionError("killed")
            queued.append((item, priority))
            yield str(len(queued))

    monkeypatch.setattr(tasks.send_mail, "enqueue_many", enqueue_many, raising=False)
    return queued


def test_mails_of_another_campaign_are_left_alone(make_mails: MakeMails, monkeypatch: pytest.MonkeyPatch) -> None:
    make_mails(2)
    others = make_mails(2, state="draft")
    queued = _record_many(monkeypatch)
    tasks.start_campaign.apply((1,))
    assert len(queued) == 2
    with database.reading() as session:
        assert all(not session.get_one(Mail, mail_id).queued for mail_id in others)
