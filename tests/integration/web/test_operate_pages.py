"""Queues, workers, batches, schedules, tasks and workflows as pages: what they show, and what their forms do."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.schedules import crontab
from starlette.testclient import TestClient

from tests.integration.monitor.events import Recorder, ended, queued
from umbel import RateLimit, Retry, Umbel
from umbel.monitor.alerts.symptoms import Rule, Symptom
from umbel.settings import Settings


class Browser:
    """Somebody who looks at the site and fills in its forms."""

    def __init__(self, app: Umbel, **headers: str) -> None:
        self._client = TestClient(
            app.web(), base_url="http://127.0.0.1", client=("127.0.0.1", 50_000), headers=headers, follow_redirects=True
        )

    def get(self, path: str, status: int = 200) -> str:
        answer = self._client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == status, answer.text
        return answer.text

    def post(self, form_on: str, path: str, status: int = 200, **fields: Any) -> str:
        """Send the form of ``form_on`` that goes to ``path``; return the page that follows."""
        page = self.get(form_on)
        assert f'action="{path}"' in page, f"{form_on} has no form for {path}"
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token is not None
        answer = self._client.post(
            path,
            data={"csrf_token": token[1], **fields},
            headers={"Origin": "http://127.0.0.1", "Accept": "text/html"},
        )
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Umbel]:
    settings = Settings.load(data_dir=tmp_path, broker_url=f"sqlite:///{tmp_path}/jobs.db", history=True)
    app = Umbel("shop", settings=settings)
    app.task(name="shop.pay", shared=False, queue="money", retry=Retry(4), limits=[RateLimit("10/m")])(nothing)
    app.task(name="shop.mail", shared=False, queue="mail/out")(nothing)
    app.conf.beat_schedule = {
        "nightly": {"task": "shop.pay", "schedule": crontab(minute="30", hour="2"), "args": ("a secret",)}
    }
    yield app
    app.engine.close()
    app.close_databases()
    app.close()


def nothing(*_: Any) -> None:
    """Nothing."""


@pytest.fixture
def browser(app: Umbel) -> Browser:
    return Browser(app)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_queues_say_what_waits_and_who_has_no_consumer(app: Umbel, browser: Browser) -> None:
    for number in range(3):
        app.tasks["shop.pay"].apply_async((number,), countdown=100 if number == 2 else None)
    page = browser.get("/queues")
    assert "money" in page
    assert "no consumer" in page
    assert "umbel worker -Q" in page
    one = text_of(browser.get("/queues/money"))
    assert re.search(r"Waiting 2 ", one)
    assert re.search(r"Delayed 1 ", one)
    assert re.search(r"The next one has waited \d", one)
    assert "shop.pay" in one
    browser.get("/queues/nobody", 404)


def test_a_queue_with_a_slash_is_a_queue(browser: Browser) -> None:
    assert "/queues/mail%2Fout" in browser.get("/queues") or "/queues/mail/out" in browser.get("/queues")
    assert "shop.mail" in browser.get("/queues/mail%2Fout")


def test_a_queue_is_paused_and_resumed(app: Umbel, browser: Browser) -> None:
    app.tasks["shop.pay"].delay(1)
    assert "paused" in browser.post("/queues/money", "/queues/money/pause")
    assert [one.paused for one in app.engine.queues() if one.name == "money"] == [True]
    assert "resumed" in browser.post("/queues/money", "/queues/money/resume")
    assert [one.paused for one in app.engine.queues() if one.name == "money"] == [False]


def test_a_queue_is_purged_by_who_types_its_name_and_of_no_more_than_was_seen(app: Umbel, browser: Browser) -> None:
    for number in range(3):
        app.tasks["shop.pay"].delay(number)
    assert "Nothing was dropped" in browser.post("/queues/money", "/queues/money/purge", expected=3, confirm="mony")
    browser.post("/queues/money", "/queues/money/purge", expected=2, confirm="money")
    assert app.engine.names.size("money") == 3
    browser.post("/queues/money", "/queues/money/purge", expected=2, confirm="money", all="1")
    assert app.engine.names.size("money") == 0
    app.tasks["shop.pay"].delay(4)
    assert "1 were dropped" in browser.post("/queues/money", "/queues/money/purge", expected=1, confirm="money")
    # The page says up to which message it knows them, and what comes later stays.
    app.tasks["shop.pay"].delay(5)
    (mark,) = re.findall(r'name="upto" value="(\d+)"', browser.get("/queues/money"))
    app.tasks["shop.pay"].delay(6)
    said = browser.post("/queues/money", "/queues/money/purge", expected=1, upto=mark, confirm="money")
    assert "1 were dropped" in said
    assert app.engine.names.size("money") == 1


def test_limits_are_changed_and_reset_for_the_whole_fleet(app: Umbel, browser: Browser) -> None:
    app.tasks["shop.pay"].delay(1)
    browser.post("/queues/money", "/queues/money/limit", rate="7/m")
    assert "7/m" in browser.get("/queues/money")
    assert "7/m" in browser.post("/workers", "/limits", name="shop.pay", rate="70/m")
    assert {one.name: one.limit for one in app.limits.status()} == {"queue:money": "7/m", "shop.pay": "70/m"}
    browser.post("/workers", "/limits/reset", name="shop.pay")
    assert {one.name: one.limit for one in app.limits.status()}["shop.pay"] == "10/m"
    refused = browser.post("/workers", "/limits", name="shop.pay", rate="often")
    assert "is no rate" in text_of(refused)


def test_without_workers_the_page_says_what_to_do(browser: Browser) -> None:
    assert "umbel worker" in browser.get("/workers")
    browser.get("/workers/umbel-1@nowhere", 404)


def test_schedules_say_when_and_run_now(app: Umbel, browser: Browser) -> None:
    page = browser.get("/schedules")
    assert "30 2 * * *" in page
    assert "umbel beat" in page
    assert "a secret" not in page
    said = browser.post("/schedules", "/schedules/run", name="nightly")
    assert "was dispatched as job" in text_of(said)
    assert app.engine.names.size("money") == 1
    browser.post("/schedules", "/schedules/run", name="nobody")
    assert app.engine.names.size("money") == 1


def test_batches_show_their_progress_and_are_cancelled(app: Umbel, browser: Browser) -> None:
    assert "No batch yet" in browser.get("/batches")
    with app.batch("import", allow_failures="10%") as batch:
        batch.add(*(app.tasks["shop.mail"].s(number) for number in range(4)))
    assert "import" in browser.get("/batches")
    page = text_of(browser.get(f"/batches/{batch.id}"))
    assert "0 of 4 members have ended" in page
    assert "10%" in page
    said = browser.post(f"/batches/{batch.id}", f"/batches/{batch.id}/cancel")
    assert "is cancelled" in text_of(said)
    assert batch.status().state == "cancelled"
    browser.get("/batches/nobody", 404)


def test_tasks_show_how_their_jobs_fared_and_what_they_declare(app: Umbel, browser: Browser) -> None:
    now = time.time()
    Recorder(app.history).tell(
        *(queued(f"j{number}", now - 30, queue="money", task="shop.pay") for number in range(20)),
        *(ended(f"j{number}", "FAILURE" if number < 2 else "SUCCESS", now - 29, queue="money") for number in range(20)),
    )
    listed = text_of(browser.get("/tasks"))
    assert re.search(r"shop\.pay money 20 18 2 ", listed), listed
    page = browser.get("/tasks/shop.pay?span=hour")
    assert "How long they waited" in page
    assert "How long they ran" in page
    assert "times=4" in page
    assert "10/m" in page
    assert page.count('class="chart"') >= 4
    assert "No job of it was heard of" in browser.get("/tasks/shop.mail?span=week")
    browser.get("/tasks/nobody.heard", 404)
    browser.get("/tasks/shop.pay?span=century", 422)
    waited = text_of(browser.get("/queues/money"))
    assert "Wait p95, last hour 1" in waited or re.search(r"Wait p95, last hour \d", waited)


def test_alerts_say_what_is_wrong_and_who_looks_after_it(app: Umbel, browser: Browser) -> None:
    assert "Nothing has been wrong" in browser.get("/alerts")
    wrong = [
        Symptom(rule=Rule.NO_CONSUMER, subject="money", summary="No worker consumes money, and one job waits in it."),
        Symptom(rule=Rule.SCHEDULER, subject="shop", summary="The scheduler is silent: nightly should have run."),
    ]
    incidents = app.history.incidents
    incidents.open("shop", wrong, ())
    page = browser.get("/alerts")
    assert "No worker consumes money" in page
    assert "/queues/money" in page
    first, second = incidents.going_on("shop")
    said = browser.post("/alerts", f"/alerts/{first.number}/acknowledge")
    assert "local looks after alert" in text_of(said)
    incidents.end([second], ())
    assert "should have run" not in browser.get("/alerts?over=false")
    assert "should have run" in browser.get("/alerts?rule=scheduler")
    assert "No worker consumes" not in browser.get("/alerts?rule=scheduler")
    browser.get("/alerts?rule=nonsense", 422)
    assert [one.action for one in app.history.audit.find().entries] == ["alert.acknowledge"]


def test_alerts_say_what_is_one_and_since_when_that_holds(tmp_path: Path) -> None:
    settings = Settings.load(
        data_dir=tmp_path, history=True, alert_failures=25, alert_within="5m", alert_waits="bulk=2h",
        alert_webhook="https://hooks.example.org/services/T0/secret-in-a-path", webhook_secret="whsec_" + "A" * 32,
    )  # fmt: skip
    app = Umbel("shop", settings=settings)
    page = Browser(app).get("/alerts")
    app.close_databases()
    app.close()
    text = text_of(page)
    assert "25 jobs fail alike within 5 min" in text
    assert "for longer than 5 min; of others: bulk=2h" in text
    assert "a change holds once umbel worker is started anew" in text
    assert "the log of the recorder, a webhook at hooks.example.org" in text
    assert "secret-in-a-path" not in page


def test_who_may_only_look_sees_no_form_and_does_nothing(app: Umbel, tmp_path: Path) -> None:
    settings = Settings.load(
        data_dir=tmp_path,
        broker_url=f"sqlite:///{tmp_path}/jobs.db",
        web_token="operator-operator",
        web_viewer_token="viewer-viewer-viewer",
    )
    with app.batch("import") as batch:
        batch.add(app.tasks["shop.pay"].s(1))
    guarded = Umbel("shop", settings=settings)
    guarded.task(name="shop.pay", shared=False, queue="money")(nothing)
    guarded.conf.beat_schedule = app.conf.beat_schedule
    viewer = Browser(guarded, Authorization="Bearer viewer-viewer-viewer")
    for path in ("/queues/money", "/workers", f"/batches/{batch.id}", "/schedules"):
        page = viewer.get(path)
        acting = set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]+)"', page)) - {"/theme", "/signout"}
        assert not acting, (path, acting)
    answer = viewer._client.post("/queues/money/pause")
    assert answer.status_code == 403
    assert not any(one.paused for one in app.engine.queues())
    guarded.engine.close()
    guarded.close_databases()
    guarded.close()


def test_everything_is_there_without_a_history(app: Umbel, tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, broker_url=f"sqlite:///{tmp_path}/jobs.db", history=False)
    with app.batch("import") as batch:
        batch.add(app.tasks["shop.pay"].s(1))
    plain = Umbel("shop", settings=settings)
    plain.task(name="shop.pay", shared=False, queue="money")(nothing)
    browser = Browser(plain)
    for path in (
        "/queues",
        "/queues/money",
        "/workers",
        "/batches",
        f"/batches/{batch.id}",
        "/schedules",
        "/tasks",
        "/alerts",
    ):
        browser.get(path)
    assert "UMBEL_HISTORY" in browser.get("/tasks/shop.pay")
    plain.engine.close()
    plain.close_databases()
    plain.close()
