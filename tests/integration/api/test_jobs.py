"""Jobs over the API: found by everything that the history knows, in pages, and acted on."""

from __future__ import annotations

import time

import pytest

from tests.integration.api.conftest import OPERATOR, Api
from tests.integration.operations.stand import SECRET, Stand
from umbel.state.events import Line, Lines
from umbel.web.api.cursors import cursor_of


def ids(api: Api, **query: object) -> list[str]:
    answer = api.get("/jobs", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["jobs"]]


def test_jobs_are_found_by_all_filters(stand: Stand, api: Api) -> None:
    stand.put("a", "b")
    stand.work(fail={"b"})
    stand.put("c", headers={"umbel_tags": ["urgent"]})
    assert ids(api) == ["c", "b", "a"]
    assert ids(api, state="failed") == ["b"]
    assert ids(api, state=["queued", "failed"]) == ["c", "b"]
    assert ids(api, task="shop.add", queue="celery", release="v1") == ["b", "a"]
    assert ids(api, tag="urgent") == ["c"]
    assert ids(api, text="ValueError") == ["b"]
    assert ids(api, id=["a", "c", "nobody"]) == ["c", "a"]
    assert ids(api, id=["a", "c"], tag="urgent", state="queued") == ["c"]
    (letter,) = api.get("/dead-letters").json()["letters"]
    assert len(api.get("/dead-letters", params={"number": [letter["id"], 77]}).json()["letters"]) == 1
    assert api.get("/dead-letters", params={"number": 77}).json()["letters"] == []
    assert ids(api, argument="0") != []
    assert ids(api, since=4e9) == ids(api, until=1) == ids(api, worker="w2@here") == []
    assert ids(api, fingerprint=api.get("/failures").json()[0]["fingerprint"]) == ["b"]


def test_pages_go_on_where_the_last_one_ended_whatever_comes_meanwhile(stand: Stand, api: Api) -> None:
    stand.put(*"abcde")
    page = api.get("/jobs", params={"limit": 2}).json()
    stand.put("later")
    found = [job["id"] for job in page["jobs"]]
    while page["next"]:
        page = api.get("/jobs", params={"limit": 2, "cursor": page["next"]}).json()
        found += [job["id"] for job in page["jobs"]]
    assert found == [*"edcba"]


@pytest.mark.parametrize("cursor", ["nonsense", "x" * 64, cursor_of("audit", 3)])
def test_a_foreign_cursor_is_refused(resting: str, cursor: str) -> None:
    with Api(resting, OPERATOR) as api:
        answer = api.get("/jobs", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:umbel:problem:invalid-cursor")


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 100_000},
        {"state": "odd"},
        {"task": "x" * 201},
        {"task": "nul\0"},
        {"since": "nan"},
        {"until": -1},
        {"unknown": 1},
        {"cursor": "x" * 65},
        {"root": "a/b"},
    ],
)
def test_values_are_bounded(resting: str, query: dict[str, object]) -> None:
    with Api(resting, OPERATOR) as api:
        answer = api.get("/jobs", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_one_job_with_all_that_belongs_to_it(stand: Stand, api: Api) -> None:
    stand.put("a")
    stand.work(fail={"a"})
    found = api.get("/jobs/a").json()
    assert (found["job"]["state"], found["arguments"], found["has_message"]) == ("failed", [[0, 1], {}], True)
    (attempt,) = found["attempts"]
    assert (attempt["error_type"], attempt["error_message"]) == ("ValueError", "no")
    assert api.get("/jobs/a/attempts").json() == found["attempts"]
    for path in ("/jobs/nobody", "/jobs/nobody/attempts", "/workflows/nobody", "/dead-letters/nobody"):
        answer = api.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert api.get("/jobs/%00").status_code == 422


def test_actions_on_one(stand: Stand, api: Api, viewer: Api) -> None:
    stand.put("a", "b", "c")
    assert api.post("/jobs/c/cancel").json()["state"] == "cancelled"
    stand.work(fail={"a", "b"})
    assert viewer.post("/jobs/a/retry").status_code == 403
    refused = api.get("/audit", params={"failed": True}).json()["entries"][0]
    assert (refused["actor"], refused["outcome"], refused["target"]) == ("viewer", "refused", "POST /api/jobs/a/retry")
    assert api.post("/jobs/a/retry").json()["text"] == "Job a runs again."
    assert api.post("/jobs/a/retry").status_code == 409
    made = api.post("/jobs/b/rerun", json={"args": [4], "kwargs": {"y": 4}}).json()["job_id"]
    assert api.post("/jobs/b/rerun", json={"args": [4], "kwargs": {"y": 4}, "queue": "x" * 300}).status_code == 422
    assert set(stand.work()) == {"a", made}
    assert api.get("/workflows/b").json()["edges"] == [{"source": "b", "target": made}]
    assert api.post("/jobs/b/rerun", json={"kwargs": {"z": 1}}).status_code == 422
    assert api.delete("/jobs/b").status_code == 200
    assert api.delete("/jobs/b").status_code == 404
    actions = [(one["action"], one["outcome"] == "done") for one in api.get("/audit").json()["entries"]]
    assert actions.count(("job.retry", True)) == 1
    assert ("job.delete", True) in actions


def test_actions_on_all_that_fit(stand: Stand, api: Api) -> None:
    stand.put("a", "b")
    stand.work(fail={"a", "b"})
    query = {"state": "failed", "task": "shop.add"}
    preview = api.get("/bulk/jobs", params=query).json()
    assert (preview["count"], preview["more"]) == (2, False)
    stand.put("later")
    stand.work(fail={"later"})
    other = api.post("/bulk/jobs/retry", params={"state": "failed"}, json={"mark": preview["mark"]})
    assert other.status_code == 409, "another filter than was previewed"
    done = api.post("/bulk/jobs/retry", params=query, json={"mark": preview["mark"]}).json()
    assert (done["done"], done["next"], done["problems"]) == (2, None, [])
    assert set(stand.work()) == {"a", "b"}
    assert api.post("/bulk/jobs/burn", params=query, json={"mark": preview["mark"]}).status_code == 422


def test_where_a_job_is_and_what_it_has_logged(stand: Stand, api: Api) -> None:
    stand.put("a", "b")
    found = api.get("/jobs/b/where").json()
    assert (found["place"], found["position"], found["can_put_back"], found["live"]) == ("queued", 1, False, None)
    assert api.get("/jobs/nobody/where").json()["place"] == "unknown"
    assert api.post("/jobs/a/put-back").status_code == 409
    delivery = stand.take(1)[0]
    said = Lines((Line(time.time(), "INFO", "shop", "counted to 1"),), head=1)
    stand.end(delivery, lines=said)
    stand.record()
    (execution,) = api.get("/jobs/a/logs").json()
    assert [line["text"] for line in execution["lines"]] == ["counted to 1"]
    assert api.get("/jobs/b/logs").json() == []
    assert api.get("/jobs/nobody/logs").status_code == 404


def test_what_is_too_large_is_refused(api: Api) -> None:
    assert api.post("/jobs/a/rerun", content=b'{"args": ["' + b"x" * 2_000_000 + b'"]}').status_code == 413


def test_c43_a_refusal_does_not_repeat_what_was_sent(stand: Stand, api: Api) -> None:
    stand.charge.apply_async((1,), {"card": SECRET}, task_id="paid")
    stand.record()
    for body in ({"args": SECRET}, {"kwargs": {"card": SECRET, "odd": SECRET}}, {SECRET: 1}, {"args": [SECRET] * 200}):
        answer = api.post("/jobs/paid/rerun", json=body)
        assert answer.status_code == 422
        if SECRET not in body:
            assert SECRET not in answer.text
