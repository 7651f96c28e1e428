"""What is not a job, over the API."""

from __future__ import annotations

from tests.integration.api.conftest import Api
from tests.integration.operations.stand import Stand
from tests.integration.worker.plant import until
from umbel.monitor.alerts.symptoms import Rule, Symptom


def test_dead_letters(stand: Stand, api: Api) -> None:
    stand.put(*"abc")
    stand.work(fail=True)
    page = api.get("/dead-letters", params={"limit": 2}).json()
    rest = api.get("/dead-letters", params={"limit": 2, "cursor": page["next"]}).json()
    assert [one["key"] for one in page["letters"] + rest["letters"]] == [*"cba"]
    found = api.get("/dead-letters/a").json()
    assert (found["arguments"], found["failures"][0]["exception"]) == ([[0, 1], {}], "ValueError")
    assert "payload" not in found["letter"]
    assert api.post("/dead-letters/a/replay").status_code == 200
    assert api.post("/dead-letters/a/replay").status_code == 409
    assert api.delete("/dead-letters/b").status_code == 200
    preview = api.get("/bulk/dead-letters", params={"replaying": False}).json()
    assert preview["count"] == 1
    done = api.post("/bulk/dead-letters/drop", params={"replaying": False}, json={"mark": preview["mark"]}).json()
    assert done["done"] == 1


def test_a_canary(stand: Stand, api: Api) -> None:
    stand.put("a")
    stand.work(fail=True)
    mark = api.get("/bulk/dead-letters").json()["mark"]
    begun = api.post("/bulk/dead-letters/canary", json={"mark": mark, "failure_rate": 0.5})
    assert begun.status_code == 202
    until(lambda: stand.work(), "the replay")
    path = f"/canaries/{begun.json()['id']}"
    until(lambda: api.get(path).json()["end"] is not None, "the canary to end")
    assert api.get("/canaries").json() == [api.get(path).json()]
    assert api.get(path).json()["end"] == "done"
    assert api.post(f"{path}/stop").status_code == 200
    assert api.get("/canaries/0").status_code == 404


def test_queues_and_limits(stand: Stand, api: Api) -> None:
    stand.put("a", "b")
    (queue,) = [one for one in api.get("/queues").json() if one["name"] == "celery"]
    assert (queue["waiting"], queue["consumers"], queue["paused"]) == (2, 1, False)
    assert api.post("/queues/celery/pause").status_code == 200
    assert api.get("/queues/celery").json()["paused"]
    assert api.post("/queues/celery/resume").status_code == 200
    assert api.get("/bulk/queues", params={"match": "cel*"}).json() == ["celery"]
    assert api.post("/bulk/queues/pause", json={"names": ["celery"]}).status_code == 200
    assert api.post("/bulk/queues/resume", json={"names": ["celery", "nothing"]}).status_code == 404
    assert api.post("/bulk/queues/resume", json={"names": []}).status_code == 422
    assert api.post("/queues/celery/purge", json={"expected": 1}).status_code == 409
    assert api.post("/queues/celery/purge", json={"expected": 1, "upto": 0}).json()["count"] == 0
    assert api.get("/queues/celery").json()["mark"] > 0
    assert api.post("/queues/celery/purge", json={"expected": 2}).json()["count"] == 2
    assert api.get("/queues/nothing").status_code == 404
    assert api.put("/limits/shop.add", json={"rate": "5/m"}).status_code == 200
    assert [one["limit"] for one in api.get("/limits").json() if one["changed"]] == ["5/m"]
    assert api.put("/limits/shop.add", json={"rate": "often"}).status_code == 409
    assert api.delete("/limits/shop.add").status_code == 200
    assert api.delete("/limits/nothing").status_code == 404


def test_workers_schedules_tasks_batches(stand: Stand, api: Api) -> None:
    (worker,) = api.get("/workers").json()
    assert (worker["name"], worker["queues"]) == ("w1@here", ["celery"])
    assert api.get("/workers/w1@here").json()["profile"] is None, "nobody is there to answer"
    assert api.get("/workers/w2@here").status_code == 404
    assert api.get("/bulk/workers").json() == ["w1@here"]
    (entry,) = api.get("/schedules").json()["entries"]
    assert (entry["name"], entry["task"]) == ("nightly", "shop.add")
    assert api.post("/schedules/nightly/run", json={"id": "tonight-1"}).json()["job_id"] == "tonight-1"
    assert stand.work() == ["tonight-1"]
    (task,) = [one for one in api.get("/tasks").json() if one["name"] == "shop.add"]
    assert task["counts"]["succeeded"] == 1
    assert api.get("/tasks/shop.charge").json()["known"]
    assert api.get("/tasks/nothing").status_code == 404
    with stand.app.batch("import") as batch:
        batch.add_many(stand.add, [(1,), (2,)])
    stand.record()
    found = api.get(f"/batches/{batch.id}").json()
    assert (found["batch"]["total"], len(found["members"])) == (2, 2)
    assert [one["id"] for one in api.get("/batches").json()] == [batch.id]
    assert api.post(f"/batches/{batch.id}/cancel").status_code == 200
    assert api.get("/batches/nothing").status_code == 404


def test_alerts(stand: Stand, api: Api) -> None:
    incidents = stand.app.history.incidents
    wrong = [
        Symptom(rule=Rule.DEAD_LETTERS, subject=one, summary="3 dead letters") for one in ("shop.add", "shop.charge")
    ]
    assert incidents.open("store", wrong, ["log"]) == 2
    found = api.get("/alerts", params={"limit": 1}).json()
    rest = api.get("/alerts", params={"limit": 1, "cursor": found["next"]}).json()
    (newest,), (other,) = found["alerts"], rest["alerts"]
    assert {newest["subject"], other["subject"]} == {"shop.add", "shop.charge"}
    assert api.post(f"/alerts/{newest['number']}/acknowledge").status_code == 200
    assert api.get(f"/alerts/{newest['number']}").json()["acknowledged_by"] == "operator"
    incidents.end(incidents.going_on("store"), ["log"])
    assert api.get("/alerts", params={"going_on": True}).json()["alerts"] == []
    assert api.get("/alerts/999").status_code == api.post("/alerts/999/acknowledge").status_code == 404


def test_figures_over_time(stand: Stand, api: Api) -> None:
    stand.put("a")
    stand.work()
    found = api.get("/metrics/series", params={"task": "shop.add"}).json()
    assert sum(point["counts"]["succeeded"] for point in found["points"]) == 1
    assert api.get("/metrics/series", params={"step": 90}).status_code == 422
    assert api.get("/metrics/series", params={"since": 0}).status_code == 422, "too many points"
