"""C38: each alert is told once when it begins and once when it is over, whatever is down, and whoever dies."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine

from tests.conftest import free_port
from tests.integration.alerts.conftest import SECRET
from tests.integration.alerts.mailbox import Mailbox, mailbox
from tests.integration.worker.receiver import Heard, Receiver
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.store import Outgoing
from umbel.errors import ConfigurationError
from umbel.jobs.webhook_signature import verify_webhook
from umbel.monitor.alerts import alerter as alerter_module
from umbel.monitor.alerts import notices as notices_module
from umbel.monitor.alerts.alerter import Alerter
from umbel.monitor.alerts.channels import LogChannel, Untold
from umbel.monitor.alerts.notices import Notices
from umbel.monitor.alerts.plan import Plan
from umbel.monitor.alerts.symptoms import Rule, Symptom
from umbel.monitor.alerts.webhook_channel import WebhookChannel
from umbel.monitor.history import History
from umbel.testing.contract._suite import payload

BACK = "here@test"


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerter_module, "_LOOKS", {})
    monkeypatch.setattr(alerter_module, "_CALM", 1)


@pytest.fixture
def wrong(engine: SQLiteEngine) -> None:
    """A queue that nobody consumes."""
    engine.enqueue([Outgoing("mail", payload("a"), "a")])


def mend(engine: SQLiteEngine) -> None:
    engine.open_lease(BACK, ["mail"], 10)


def kinds(receiver: Receiver) -> list[str]:
    return [str(body_of(one)["type"]) for one in receiver.heard]


def body_of(heard: Heard) -> dict[str, Any]:
    found: dict[str, Any] = verify_webhook(
        heard.body, heard.headers, SECRET, now=float(heard.headers["webhook-timestamp"])
    ).json()
    return found


def test_c38_once_when_it_begins_and_once_when_it_is_over(
    wrong: None,
    engine: SQLiteEngine,
    alerting: Callable[..., Alerter],
    receiver: Receiver,
    box: Mailbox,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "umbel.alerts")
    one = alerting(webhook=f"{receiver.url}/hook?key=hidden", mail=box.url)
    for _ in range(3):
        one.step()
    assert kinds(receiver) == ["alert.opened"]
    assert len(box.messages) == 1
    mend(engine)
    for _ in range(3):
        one.step()
    assert kinds(receiver) == ["alert.opened", "alert.ended"]
    body = body_of(receiver.heard[1])["data"]
    assert (body["rule"], body["subject"], body["app"]) == ("no-consumer", "mail", "shop")
    assert body["opened"] <= body["ended"]
    begun, over = box.messages
    assert begun["Subject"] == "[shop] no-consumer mail"
    assert over["Subject"] == "[shop] Over: no-consumer mail"
    assert box.recipients == [["oncall@example.org", "ops@example.org"]] * 2
    assert begun["From"] == "umbel@example.org"
    assert "No worker consumes mail, and one job waits in it." in begun.get_content()
    assert begun["Message-ID"] != over["Message-ID"]
    lines = [entry.message for entry in caplog.records if entry.message.startswith("Alert")]
    assert len(lines) == 2
    assert "hidden" not in caplog.text


def test_c38_a_channel_that_is_down_loses_nothing_repeats_nothing_and_holds_up_no_other(
    wrong: None, engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter], receiver: Receiver
) -> None:
    port = free_port()
    one = alerting(webhook=receiver.url, mail=f"smtp://127.0.0.1:{port}")
    one.step()
    assert kinds(receiver) == ["alert.opened"]
    (incident,) = history.incidents.find().incidents
    assert incident.untold == ("email",)
    assert "refused" in str(incident.error)
    with mailbox(port) as box:
        mend(engine)
        one.step()
        assert kinds(receiver) == ["alert.opened", "alert.ended"]
        assert box.messages == [], "the pause of the first is not over, and the second comes after it"
        with time_machine.travel(time.time() + 3600, tick=False):
            one.step()
            one.step()
        assert [message["Subject"] for message in box.messages] == [
            "[shop] no-consumer mail",
            "[shop] Over: no-consumer mail",
        ]
    (incident,) = history.incidents.find().incidents
    assert incident.untold == ()
    assert len(receiver.heard) == 2


def test_c38_an_answer_that_says_no_is_tried_again_with_pauses(
    wrong: None, history: History, alerting: Callable[..., Alerter], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([500, 503, 200])
    receiver = Receiver(lambda _: (next(answers), {}))
    one = alerting(webhook=receiver.url)
    began = time.time()
    for after, heard in ((0, 1), (1, 1), (10, 2), (20, 2), (50, 3), (5000, 3)):
        with time_machine.travel(began + after, tick=False):
            one.step()
        assert len(receiver.heard) == heard, after
    assert len({one.headers["webhook-id"] for one in receiver.heard}) == 1
    receiver.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_c38_who_dies_between_telling_and_noting_leaves_one_repeat_at_most(
    wrong: None,
    engine: SQLiteEngine,
    alerting: Callable[..., Alerter],
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    when: str,
) -> None:
    tell = WebhookChannel.tell

    def die(self: WebhookChannel, notice: Any) -> None:
        if when == "after":
            tell(self, notice)
        raise KeyboardInterrupt

    began = time.time()
    for lives in range(4):
        with monkeypatch.context() as patch, time_machine.travel(began + lives * 1000, tick=False):
            patch.setattr(WebhookChannel, "tell", die)
            try:
                alerting(webhook=receiver.url).step()
            except KeyboardInterrupt:
                assert lives < 2, "it is told a third time"
    assert len(receiver.heard) == (2 if when == "after" else 0)
    assert len({one.headers["webhook-id"] for one in receiver.heard}) <= 1
    mend(engine)
    with time_machine.travel(began + 5000, tick=False):
        alerting(webhook=receiver.url).step()
    assert kinds(receiver)[-1:] == ["alert.ended"], "what comes after it is told"


def test_c38_a_claim_is_not_taken_over_while_it_may_be_alive(
    wrong: None, alerting: Callable[..., Alerter], receiver: Receiver, history: History, engine: SQLiteEngine
) -> None:
    alerting(webhook=receiver.url).look()
    channel = next(one for one in history.incidents.find().incidents[0].untold if one.startswith("webhook"))
    notices = Notices(history.database, engine.events.identity())
    assert notices.claim([channel]) is not None
    alerting(webhook=receiver.url).tell()
    assert receiver.heard == []
    with time_machine.travel(time.time() + notices_module._CLAIM_SECONDS + 1, tick=False):
        alerting(webhook=receiver.url).tell()
    assert len(receiver.heard) == 1


def test_c38_of_two_that_look_each_alert_is_told_once(
    wrong: None, engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter], receiver: Receiver
) -> None:
    one, other = alerting(webhook=receiver.url), alerting(webhook=receiver.url)
    one.look()
    other.look()
    one.tell()
    other.tell()
    mend(engine)
    other.look()
    one.look()
    other.tell()
    one.tell()
    assert kinds(receiver) == ["alert.opened", "alert.ended"]
    assert len(history.incidents.find().incidents) == 1


def test_c38_who_comes_late_opens_and_ends_nothing_again(history: History) -> None:
    """Two that have looked at the same moment."""
    symptom = Symptom(rule=Rule.QUEUE_WAIT, subject="mail", summary="Jobs wait.")
    assert history.incidents.open("store", [symptom, symptom], ["log"]) == 1
    assert history.incidents.open("store", [symptom], ["log"]) == 0
    assert history.incidents.open("other", [symptom], ["log"]) == 1
    seen = history.incidents.going_on("store")
    assert history.incidents.end(seen, ["log"]) == 1
    assert history.incidents.end(seen, ["log"]) == 0
    assert history.incidents.open("store", [symptom], ["log"]) == 1
    assert len(history.incidents.find().incidents) == 3


def test_c38_one_that_has_been_taken_over_notes_nothing(
    wrong: None, engine: SQLiteEngine, history: History, alerting: Callable[..., Alerter], receiver: Receiver
) -> None:
    alerting(webhook=receiver.url).look()
    channel = next(one for one in history.incidents.find().incidents[0].untold if one.startswith("webhook"))
    notices = Notices(history.database, engine.events.identity())
    late = notices.claim([channel])
    assert late is not None
    with time_machine.travel(time.time() + 200, tick=False):
        mine = notices.claim([channel])
        assert mine is not None
        notices.failed(late, "no answer", unsure=True)
        notices.told(late)
        assert channel in history.incidents.find().incidents[0].untold
        notices.told(mine)
    assert channel not in history.incidents.find().incidents[0].untold


def test_c38_a_clock_that_was_ahead_holds_up_nothing(
    wrong: None, engine: SQLiteEngine, alerting: Callable[..., Alerter]
) -> None:
    """A pause, and a claim, of a day ahead of now."""
    answers = iter([500, 200])
    receiver = Receiver(lambda _: (next(answers), {}))
    with time_machine.travel(time.time() + 86_400, tick=False):
        alerting(webhook=receiver.url).step()
    alerting(webhook=receiver.url).step()
    assert len(receiver.heard) == 2
    receiver.close()


def test_c38_a_claim_of_a_clock_that_was_ahead_holds_up_nothing(
    wrong: None, alerting: Callable[..., Alerter], receiver: Receiver, history: History, engine: SQLiteEngine
) -> None:
    """Who had it died while its clock was a day ahead."""
    alerting(webhook=receiver.url).look()
    channel = next(one for one in history.incidents.find().incidents[0].untold if one.startswith("webhook"))
    with time_machine.travel(time.time() + 86_400, tick=False):
        assert Notices(history.database, engine.events.identity()).claim([channel]) is not None
    alerting(webhook=receiver.url).tell()
    assert len(receiver.heard) == 1


def test_c38_a_server_that_takes_a_mail_and_says_nothing_is_told_twice_at_most(
    wrong: None, alerting: Callable[..., Alerter], box: Mailbox
) -> None:
    box.hangs_up = True
    began = time.time()
    for number in range(4):
        with time_machine.travel(began + number * 1000, tick=False):
            alerting(mail=box.url).step()
    assert len(box.messages) == 2
    assert len({message["Message-ID"] for message in box.messages}) == 1


def test_c38_a_mail_server_that_refuses_is_tried_again_without_end(
    wrong: None, alerting: Callable[..., Alerter], box: Mailbox, history: History
) -> None:
    box.says = "451 busy"
    began = time.time()
    for number in range(5):
        with time_machine.travel(began + number * 1000, tick=False):
            alerting(mail=box.url).step()
    assert "451 busy" in str(history.incidents.find().incidents[0].error)
    box.says = "250 OK"
    with time_machine.travel(began + 9000, tick=False):
        alerting(mail=box.url).step()
    assert len(box.messages) == 1


def test_c38_after_three_days_it_is_given_up(
    wrong: None, alerting: Callable[..., Alerter], box: Mailbox, history: History
) -> None:
    box.says = "451 busy"
    alerting(mail=box.url).step()
    with time_machine.travel(time.time() + 4 * 86_400, tick=False):
        alerting(mail=box.url).step()
    (incident,) = history.incidents.find().incidents
    assert incident.untold == ()
    assert str(incident.error).startswith("given up:")


def test_a_password_is_not_sent_without_tls(
    wrong: None, alerting: Callable[..., Alerter], box: Mailbox, history: History, caplog: pytest.LogCaptureFixture
) -> None:
    alerting(mail=box.url.replace("//", "//user:hidden@")).step()
    assert box.messages == []
    assert "offers no STARTTLS" in str(history.incidents.find().incidents[0].error)
    assert "hidden" not in caplog.text


def test_what_is_not_public_is_not_told(
    wrong: None, engine: SQLiteEngine, history: History, receiver: Receiver
) -> None:
    told = {"urls": [receiver.url], "secret": SECRET, "allow": [], "timeout": 5.0}
    Alerter(engine, history, _plan(webhooks=told)).step()
    assert receiver.heard == []
    assert "not public" in str(history.incidents.find().incidents[0].error)


def test_c38_a_name_that_would_break_a_header_breaks_none(
    engine: SQLiteEngine, alerting: Callable[..., Alerter], box: Mailbox
) -> None:
    engine.enqueue([Outgoing("mail\r\nBcc: x@example.org", payload("a"), "a")])
    alerting(mail=box.url).step()
    assert box.messages[0]["Subject"] == "[shop] no-consumer mail Bcc: x@example.org"
    assert box.messages[0]["Bcc"] is None
    assert box.messages[0].get_content().startswith("No worker consumes mail Bcc: x@example.org, and one job")


def test_one_that_leads_no_more_looks_at_nothing(
    wrong: None, engine: SQLiteEngine, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    monkeypatch.setattr(alerter_module, "_LOOK_SECONDS", 0.005)
    asked, stop = threading.Semaphore(0), threading.Event()
    leads = False

    def ask() -> bool:
        asked.release()
        return leads

    with Alerter(engine, history, Plan(), leads=ask).running(stop):
        for _ in range(5):
            assert asked.acquire(timeout=60)
        assert history.incidents.find().incidents == ()
        leads = True
        deadline = time.monotonic() + 60
        while not history.incidents.find().incidents and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(history.incidents.find().incidents) == 1


def test_it_goes_on_after_an_error_that_nobody_has_thought_of(
    wrong: None, alerting: Callable[..., Alerter], history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(LogChannel, "tell", fail)
    alerting().step()
    assert history.incidents.find().incidents[0].untold == ("log",)


def test_who_looks_after_it_is_known_and_the_first_stays(
    wrong: None, alerting: Callable[..., Alerter], history: History
) -> None:
    alerting().step()
    (incident,) = history.incidents.find().incidents
    first = history.incidents.acknowledge(incident.number, "ann")
    assert first is not None
    assert (first.acknowledged_by, first.ended_at) == ("ann", None)
    again = history.incidents.acknowledge(incident.number, "bob")
    assert again == first
    assert history.incidents.acknowledge(999, "ann") is None
    assert history.incidents.get(incident.number) == first


def test_incidents_come_in_pages_and_old_ones_go(
    engine: SQLiteEngine, alerting: Callable[..., Alerter], history: History
) -> None:
    for number in range(5):
        engine.enqueue([Outgoing(f"q{number}", payload(f"a{number}"), f"a{number}")])
    one = alerting()
    one.step()
    page = history.incidents.find(limit=3)
    rest = history.incidents.find(limit=3, before=page.next)
    assert [len(page.incidents), len(rest.incidents), rest.next] == [3, 2, None]
    assert history.incidents.counts()["no-consumer"] == 5
    engine.open_lease(BACK, [f"q{number}" for number in range(4)], 1)
    one.step()
    assert history.incidents.counts()["no-consumer"] == 1
    assert len(history.incidents.find(going_on=True).incidents) == 1
    assert history.incidents.prune(time.time() + 10) == 4
    assert len(history.incidents.find().incidents) == 1


def _plan(**given: Any) -> Plan:
    nobody = {"urls": [], "secret": None, "allow": [], "timeout": 15.0}
    told: dict[str, Any] = {
        "app": "shop",
        "thresholds": {"within": 600, "failures": 10, "dead_letters": 1, "wait": 300, "waits": ["bulk=2h"]},
        "webhooks": nobody,
        "mail": {"url": None, "sender": None, "recipients": []},
        "rhythm": {"zone": "UTC", "entries": {}},
    }
    return Plan.of({**told, **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"webhooks": {"urls": ["https://x.example"], "secret": None, "allow": [], "timeout": 1}}, "WEBHOOK_SECRET"),
        ({"mail": {"url": None, "sender": None, "recipients": ["a@b.example"]}}, "UMBEL_ALERT_SMTP_URL"),
        ({"thresholds": {"waits": ["bulk"]}}, "UMBEL_ALERT_WAITS"),
        ({"thresholds": {"waits": ["bulk=soon"]}}, "UMBEL_ALERT_WAITS"),
    ],
)
def test_a_plan_that_cannot_be_meant_is_said(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        _plan(**given)


def test_a_channel_that_cannot_be_meant_is_said(alerting: Callable[..., Alerter]) -> None:
    with pytest.raises(ConfigurationError, match="UMBEL_ALERT_SMTP_URL"):
        alerting(mail="http://host")
    with pytest.raises(ConfigurationError, match="UMBEL_ALERT_WEBHOOK"):
        alerting(webhook="ftp://host")
    assert _plan().thresholds.wait_of("bulk") == 7200.0
    assert Untold("why").unsure is False
