"""The first page, jobs, failures and dead letters, by HTTP: who may what, filters, pages, steps (C36, C44)."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.monitor.events import Recorder, ended, ends, failure, queued
from tests.integration.web.dashboard.visitor import VIEWER, Visitor, csrf_of, text_of
from umbel import JobState, Umbel
from umbel.engine.letters import DeadLetter
from umbel.engine.store import Settled
from umbel.monitor.operations import jobs as job_operations

Make = Callable[..., FastAPI]
NASTY = "shop.<script>alert('x')</script>"


@pytest.fixture
def ann(site: Make) -> Visitor:
    """An operator of a site whose jobs are recorded."""
    visitor = Visitor(site(history=True))
    visitor.sign_in()
    return visitor


@pytest.fixture
def vic(site: Make) -> Visitor:
    """A viewer of such a site."""
    visitor = Visitor(site(history=True))
    visitor.sign_in(VIEWER, "vic")
    return visitor


def app_of(visitor: Visitor) -> Umbel:
    app: Umbel = visitor.site.state.site.app
    return app


def record(app: Umbel, count: int, state: str = "FAILURE", **about: Any) -> list[str]:
    """Let the history know of jobs, the oldest first."""
    now = time.time() - count - 10
    names = [f"job-{number:03}" for number in range(count)]
    events: list[Any] = [queued(name, now + number, **about) for number, name in enumerate(names)]
    if state:
        ends_ = [
            ended(name, state, now + n + 0.5, document=failure(name, message="no")) for n, name in enumerate(names)
        ]
        events.append(ends(*ends_))
    Recorder(app.history).tell(*events)
    return names


def scheduled(app: Umbel, count: int) -> list[str]:
    """Jobs that wait for tomorrow, in the store and in the history."""
    ids = [str(app.send_task("shop.later", (n,), countdown=86_400).id) for n in range(count)]
    now = time.time()
    Recorder(app.history).tell(*[queued(one, now, task="shop.later", due=now + 86_400) for one in ids])
    return ids


def bury(app: Umbel, key: str, reason: str = "ValueError: no") -> None:
    """Let a job be a dead letter."""
    payload = queued(key, 1.0, task="shop.add", args=["visible"]).payload
    letter = DeadLetter(0, key, "shop.add", "default", reason, 1, time.time(), payload, key=key, fingerprint="fp")
    app.engine.settle([Settled(letter=letter)])


def links(text: str, word: str) -> list[str]:
    """The addresses of links that say ``word``."""
    return [html.unescape(found) for found in re.findall(rf'<a[^>]*href="([^"]*)"[^>]*>{re.escape(word)}', text)]


def fields_of(answer: httpx.Response) -> dict[str, str]:
    """The hidden fields of the form that does it."""
    form = re.search(r'<form class="sure".*?</form>', answer.text, re.DOTALL)
    assert form is not None
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form[0])
    return {name: html.unescape(value) for name, value in found}


def shown(text: str) -> list[str]:
    return re.findall(r'<code class="id">([^<]+)</code>', text)


@pytest.mark.parametrize(
    "path", ["/", "/jobs", "/failures", "/dead", "/dead?group=1", "/jobs?act=retry", "/dead?act=drop"]
)
def test_pages_without_anything_say_what_to_do(ann: Visitor, path: str) -> None:
    answer = ann.get(path)
    assert answer.status_code == 200
    assert "empty" in answer.text or "nothing to do" in answer.text


def test_pages_cut_the_list_and_leave_nothing_out(ann: Visitor) -> None:
    names = record(app_of(ann), 120)
    found, path = [], "/jobs?task=shop.add"
    while path:
        text = ann.get(path).text
        found += shown(text)
        path = next(iter(links(text, "Older")), "")
    assert found == names[::-1]


def test_c44_a_viewer_sees_and_does_not_act(vic: Visitor) -> None:
    app = app_of(vic)
    names = record(app, 2)
    bury(app, names[0])
    for path in ("/jobs", f"/jobs/{names[0]}", "/dead", f"/dead/{names[0]}", "/jobs?act=delete"):
        answer = vic.get(path)
        assert answer.status_code == 200, path
        assert not re.search(r'<form[^>]*method="post"[^>]*action="/(jobs|dead)', answer.text), path
        assert "act=" not in answer.text or "act=" in path, path
    csrf = csrf_of(vic.get("/jobs"))
    for path in ("/jobs", f"/jobs/{names[0]}", "/dead", f"/dead/{names[0]}"):
        assert vic.send(path, {"csrf_token": csrf, "act": "delete", "mark": ""}).status_code == 403
    assert app.history.jobs.count().number == 2


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/jobs?state=asleep", "There is no state 'asleep'"),
        ("/jobs?since=yesterday", "since is a length of time"),
        ("/jobs?before=-1", "before is a number"),
        (f"/jobs?text={'x' * 201}", "longer than 200 characters"),
        ("/jobs?" + "&".join(["state=failed"] * 101), "more than 100 filters"),
        ("/jobs?act=explode", "There is no action 'explode'"),
        ("/dead?replaying=maybe", "replaying is yes or no"),
        ("/dead?until=0x10", "until is a length of time"),
        ("/dead?act=explode", "There is no action 'explode'"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(ann: Visitor, path: str, said: str) -> None:
    """Rather than answered for something else, which somebody might act on."""
    answer = ann.get(path)
    assert answer.status_code == 422
    assert said in html.unescape(text_of(answer))


def test_filters_find_what_they_say(ann: Visitor) -> None:
    app = app_of(ann)
    record(app, 3, args=["needle"], umbel_owner="eve", umbel_tags=["red"])
    now = time.time()
    Recorder(app.history, "other").tell(queued("another", now, task="shop.other", queue="mail"))
    for path, number in (
        ("text=NEEDLE", 3),
        ("owner=eve&tag=red", 3),
        ("state=failed&state=queued", 4),
        ("queue=mail", 1),
        ("worker=w1@host&release=r1", 3),
        ("argument=needle&state=queued", 0),
        ("since=1h", 4),
        ("until=1h", 0),
        ("since=2020-01-01", 4),
        ("since=2020-01-01T00:00:00Z&until=2020-01-02", 0),
    ):
        assert len(shown(ann.get(f"/jobs?{path}").text)) == number, path


def test_what_is_done_to_all_is_what_was_previewed_step_by_step(ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_operations, "STEP", 2)
    app = app_of(ann)
    ids = scheduled(app, 5)
    preview = ann.get("/jobs?task=shop.later&since=1h&act=cancel")
    assert "5 jobs" in text_of(preview)
    assert sorted(shown(preview.text)) == sorted(ids)
    late = scheduled(app, 1)[0]
    steps = 0
    answer = preview
    while answer.status_code == 200:
        answer = ann.send("/jobs", fields_of(answer))
        steps += 1
    assert (answer.status_code, steps) == (303, 3)
    assert answer.headers["location"].startswith("/jobs?task=shop.later&since=20")
    assert {app.status(one).state for one in ids} == {JobState.CANCELLED}
    assert app.status(late).state is JobState.SCHEDULED


def ticked(answer: httpx.Response) -> list[str]:
    """What could be chosen on a page."""
    return re.findall(r'<input type="checkbox" form="chosen" name="(?:id|number)" value="([^"]+)"', answer.text)


def test_those_that_are_ticked_are_previewed_and_acted_on_alone(ann: Visitor, vic: Visitor) -> None:
    app = app_of(ann)
    ids = scheduled(app, 4)
    assert ticked(ann.get("/jobs?task=shop.later")) == ids[::-1]
    path = f"/jobs?chosen=true&next=%2Fjobs&id={ids[0]}&id={ids[2]}&id=nobody&act=cancel"
    preview = ann.get(path)
    assert "2 jobs are chosen" in text_of(preview)
    assert shown(preview.text) == [ids[2], ids[0]]
    done = ann.submit(path, "/jobs", {**fields_of(preview), "id": [ids[0], ids[2], "nobody"]})
    assert done.status_code == 303
    assert "chosen: 3" in text_of(ann.get(done.headers["location"])), "what became of them"
    found = [app.status(one).state for one in ids]
    assert found == [JobState.CANCELLED, JobState.SCHEDULED, JobState.CANCELLED, JobState.SCHEDULED]
    entry = app.history.audit.find().entries[0]
    assert entry.action == "jobs.cancel"
    assert ids[0] in str(entry.detail)
    nowhere = ann.submit(path, "/jobs", {**fields_of(preview), "id": "a\0b"})
    assert nowhere.status_code == 422
    other = ann.submit(path, "/jobs", {**fields_of(preview), "id": ids[1]})
    assert other.status_code == 409, "not others than those that were previewed"
    assert ticked(vic.get("/jobs")) == []


def test_letters_that_are_ticked_are_dropped_and_no_others(ann: Visitor) -> None:
    app = app_of(ann)
    for name in ("one", "two", "three"):
        bury(app, name)
    three, _, one = ticked(ann.get("/dead"))
    path = f"/dead?chosen=true&number={one}&number={three}&act=drop"
    bury(app, "three", "ValueError: again")
    preview = ann.get(path)
    assert "1 dead letter is chosen" in text_of(preview), "that one has died anew"
    done = ann.submit(path, "/dead", {**fields_of(preview), "number": [one, three]})
    assert done.status_code == 303
    assert {letter.key for letter in app.dead_letters.find()} == {"two", "three"}


@pytest.mark.parametrize(
    ("path", "act", "back"), [("/jobs", "retry", "/jobs?state=failed"), ("/dead", "drop", "/dead?task=shop.add")]
)
def test_who_ticks_nothing_does_nothing(ann: Visitor, path: str, act: str, back: str) -> None:
    record(app_of(ann), 2)
    answer = ann.client.get(path, params={"chosen": "true", "act": act, "next": back})
    assert (answer.status_code, answer.headers["location"]) == (303, back)
    assert "Nothing was chosen" in text_of(ann.get(back))


def test_a_preview_of_something_else_does_nothing(ann: Visitor) -> None:
    app = app_of(ann)
    names = record(app, 3)
    fields = fields_of(ann.get("/jobs?act=delete&text=job-001"))
    for changed in ({"text": ""}, {"text": "job-002"}, {"mark": "1.2.3"}):
        assert ann.send("/jobs", {**fields, **changed}).status_code == 409
    assert app.history.jobs.count().number == len(names)
    assert ann.send("/jobs", fields).status_code == 303
    assert app.history.jobs.count().number == len(names) - 1


def test_a_job_that_is_not_recorded_yet_is_shown_where_it_is(ann: Visitor) -> None:
    job = app_of(ann).send_task("shop.add", (1,), countdown=3600).id
    answer = ann.get(f"/jobs/{job}")
    assert answer.status_code == 200
    assert "is delayed until" in text_of(answer)
    assert ann.get("/jobs/nothing").status_code == 404


def test_without_a_history_pages_say_so_and_show_what_is_live(site: Make) -> None:
    visitor = Visitor(site(history=False))
    visitor.sign_in()
    job = app_of(visitor).send_task("shop.add", (1,), queue="mail").id
    assert "UMBEL_HISTORY" in text_of(visitor.get("/jobs"))
    assert "mail" in text_of(visitor.get("/jobs"))
    assert "UMBEL_HISTORY" in text_of(visitor.get("/failures"))
    assert "UMBEL_HISTORY" in text_of(visitor.get("/"))
    assert "waits in" in text_of(visitor.get(f"/jobs/{job}"))


def test_what_jobs_say_is_text_and_never_markup(ann: Visitor) -> None:
    app = app_of(ann)
    names = record(app, 1, task=NASTY, args=["<img src=x>"], umbel_owner="<b>eve</b>", queue="<i>mail</i>")
    bury(app, names[0], reason="<u>no</u>")
    for path in (
        "/",
        "/jobs",
        f"/jobs/{names[0]}",
        "/failures",
        "/dead",
        "/dead?group=1",
        f"/dead/{names[0]}",
        "/jobs?act=retry",
    ):
        text = ann.get(path).text
        assert not re.search(r"<(script>|img src=x|b>|i>|u>)", text), path


def test_a_letter_is_dropped_and_its_page_is_gone(ann: Visitor) -> None:
    app = app_of(ann)
    bury(app, "a/strange?key")
    path = "/dead/a/strange%3Fkey"
    assert path in ann.get("/dead").text
    assert "visible" in text_of(ann.get(path))
    assert ann.submit(path, path, {"act": "nothing"}).status_code == 422
    answer = ann.submit(path, path, {"act": "drop"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/dead")
    assert ann.get(path).status_code == 404


def test_a_job_is_run_again_only_with_what_is_json(ann: Visitor) -> None:
    names = record(app_of(ann), 1)
    path = f"/jobs/{names[0]}"
    for fields in ({"args": "{}"}, {"args": "[NaN]"}, {"kwargs": "[]"}, {"args": "[" * 100_000}):
        answer = ann.submit(path, path, {"act": "rerun", "edited": "1", **fields})
        assert answer.status_code == 422, fields
    assert ann.submit(path, path, {"act": "explode"}).status_code == 422


def test_the_first_page_is_read_once_for_all_who_look(ann: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    ann.get("/")
    reads: list[str] = []
    app = app_of(ann)
    known = app.engine.workers
    monkeypatch.setattr(app.engine, "workers", lambda: reads.append("read") or known())
    (reader,) = ann.site.state.overviews.values()
    monkeypatch.setattr("umbel.monitor.overview.KEPT", 600.0)
    reader._last.clear()
    for _ in range(3):
        assert ann.get("/?look=day").status_code == 200
    # Once by the overview, once by its queues.
    assert len(reads) == 2


def test_pages_of_letters_leave_nothing_out(ann: Visitor) -> None:
    app = app_of(ann)
    for number in range(51):
        bury(app, f"letter-{number:02}")
    first = ann.get("/dead").text
    found = re.findall(r'href="/dead/(letter-[0-9]+)"', first)
    path = links(first, "Older")[0]
    found += re.findall(r'href="/dead/(letter-[0-9]+)"', ann.get(path).text)
    assert found == [f"letter-{number:02}" for number in reversed(range(51))]
    assert "Dead letters 51 " in text_of(ann.get("/")), "the first page counts all of them"
    assert not links(ann.get(path).text, "Older")
    assert links(ann.get(path).text, "Newest") == ["/dead"]


@pytest.mark.parametrize(
    ("seconds", "said"), [(4.0, None), (12.0, "12 s behind: jobs have the machine first"), (150.0, "its log says what")]
)
def test_a_history_that_is_behind_says_so(
    ann: Visitor, monkeypatch: pytest.MonkeyPatch, seconds: float, said: str | None
) -> None:
    monkeypatch.setattr("umbel.monitor.overview.lag", lambda log: seconds)
    text = text_of(ann.get("/"))
    assert ("behind" in text) is (said is not None)
    assert said is None or said in text
