"""What Prometheus is told: what there is, never less than before, and what can be told while something is away."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_families
from prometheus_client.parser import text_string_to_metric_families as families

from umbel import Settings, Umbel
from umbel.engine.burial import letter_of
from umbel.engine.store import Outgoing, Record, Settled
from umbel.errors import StoreUnreachable
from umbel.monitor.metrics import prometheus, totals
from umbel.monitor.metrics.prometheus import Metrics
from umbel.monitor.metrics.scaling import Scaling
from umbel.monitor.recorder import Recorder
from umbel.monitor.retention import Retention
from umbel.state.events import Ended
from umbel.testing.contract._suite import payload

ROOT = Path(__file__).resolve().parents[3]
GRAFANA = ROOT / "docs" / "assets" / "grafana" / "umbel.json"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prometheus, "_KEPT_SECONDS", -1.0)
    settings = Settings.load(history=True, history_url=f"sqlite:///{tmp_path / 'history.db'}")
    made = Umbel("shop", broker=f"sqlite:///{tmp_path / 'jobs.db'}", settings=settings, set_as_current=False)
    made.engine.open_lease("umbel-1@host", ["mail"], 10)
    made.engine.events.introduce("umbel-1@host", None)
    yield made
    made.engine.close()
    made.close_databases()
    made.close()


def record(app: Umbel) -> None:
    recorder = Recorder(app.engine, app.history)
    while recorder.step():
        pass
    recorder.resign()


def run(app: Umbel, *ids: str, state: str = "SUCCESS", task: str = "shop.send", queue: str = "mail") -> None:
    app.engine.enqueue([Outgoing(queue, payload(one, task=task), one) for one in ids])
    for one in app.engine.fetch({queue: 0}, 1000):
        assert one.task_id is not None
        document = json.dumps({"status": state, "result": None})
        began = time.time()
        told = Ended(one.task_id, queue, 0, state, one.enqueued, began, began + 0.3, document)
        records = [Record(one.task_id, state, True, document)]
        letter = letter_of(one, "why", error=ValueError("no")) if state == "FAILURE" else None
        app.engine.settle([Settled(one.seq, "ack", letter, records=records, told=told)])


def told(app: Umbel) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples, by name and labels."""
    text, _ = Metrics(app).exposition()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families(text.decode())
        for sample in family.samples
    }


def value(samples: dict[Any, float], name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_what_happened_is_counted_by_task_queue_and_outcome(app: Umbel) -> None:
    record(app)
    run(app, "a", "b")
    run(app, "c", state="FAILURE")
    run(app, "d", task="shop.other", queue="bulk")
    record(app)
    app.engine.enqueue([Outgoing("mail", payload("waits"), "waits")])
    found = told(app)
    mail = {"task": "shop.send", "queue": "mail"}
    assert value(found, "umbel_jobs_queued_total", **mail) == 3
    assert value(found, "umbel_executions_total", outcome="succeeded", **mail) == 2
    assert value(found, "umbel_executions_total", outcome="failed", **mail) == 1
    assert value(found, "umbel_executions_total", outcome="succeeded", task="shop.other", queue="bulk") == 1
    assert value(found, "umbel_run_seconds_count", task="shop.send") == 3
    assert value(found, "umbel_run_seconds_sum", task="shop.send") == pytest.approx(0.9)
    assert value(found, "umbel_run_seconds_bucket", task="shop.send", le="0.256") == 0
    assert value(found, "umbel_run_seconds_bucket", task="shop.send", le="0.512") == 3
    assert value(found, "umbel_wait_seconds_count", queue="bulk") == 1
    assert value(found, "umbel_queue_jobs", queue="mail", state="ready") == 1
    assert value(found, "umbel_queue_consumers", queue="mail") == 1
    assert value(found, "umbel_queue_consumers", queue="bulk") == 0
    assert (value(found, "umbel_workers"), value(found, "umbel_slots"), value(found, "umbel_slots_busy")) == (1, 10, 0)
    assert value(found, "umbel_dead_letters") == 1
    assert value(found, "umbel_recorder_backlog_entries") == 1
    assert value(found, "umbel_recorder_lost_entries_total") == 0
    assert value(found, "umbel_incidents", rule="no-consumer") == 0
    assert (value(found, "umbel_store_up"), value(found, "umbel_history_up")) == (1, 1)
    waits = value(found, "umbel_queue_oldest_wait_seconds", queue="mail")
    assert waits is not None
    assert value(found, "umbel_queue_oldest_wait_seconds", queue="bulk") == 0


def test_counters_never_go_back(app: Umbel) -> None:
    """Whatever is dropped from the history."""
    record(app)
    run(app, *(f"j{number}" for number in range(20)))
    record(app)
    before = told(app)
    gone = dict.fromkeys((60, 3600, 86_400), timedelta(seconds=-100_000))
    app.history.prune(Retention(rollups=gone))
    after = told(app)
    kinds = ("_total", "_bucket", "_count", "_sum")
    counted = [key for key in before if key[0].endswith(kinds)]
    assert len(counted) > 60
    assert {key: after[key] for key in counted} == {key: before[key] for key in counted}


def test_the_names_are_bounded_and_the_rest_is_one(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "_TASKS_MOST", 3)
    record(app)
    for number in range(6):
        run(app, f"a{number}", task=f"shop.t{number}")
    record(app)
    first = told(app)
    tasks = {dict(labels)["task"] for name, labels in first if name == "umbel_executions_total"}
    assert tasks == {"shop.t0", "shop.t1", "shop.t2", "(other)"}
    assert value(first, "umbel_executions_total", task="(other)", queue="mail", outcome="succeeded") == 3
    for number in range(6, 9):
        run(app, f"a{number}", task=f"shop.t{number}")
    record(app)
    again = told(app)
    assert {dict(labels)["task"] for name, labels in again if name == "umbel_executions_total"} == tasks
    assert value(again, "umbel_executions_total", task="(other)", queue="mail", outcome="succeeded") == 6


def test_a_store_that_is_away_leaves_the_history_and_the_other_way_round(
    app: Umbel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record(app)
    run(app, "a")
    record(app)

    def away(*_: Any) -> Any:
        raise StoreUnreachable("redis://host", "refused")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.engine), "queues", away)
        found = told(app)
    assert (value(found, "umbel_store_up"), value(found, "umbel_history_up")) == (0, 1)
    assert value(found, "umbel_executions_total", task="shop.send", queue="mail", outcome="succeeded") == 1
    assert value(found, "umbel_workers") is None
    with monkeypatch.context() as patch:
        patch.setattr(type(app.history.database), "reading", away)
        found = told(app)
    assert (value(found, "umbel_store_up"), value(found, "umbel_history_up")) == (1, 0)
    assert value(found, "umbel_workers") == 1
    assert not [name for name, _ in found if name == "umbel_executions_total"]
    assert "cannot be read for metrics" in caplog.text


def test_open_metrics_for_who_asks_for_it(app: Umbel) -> None:
    record(app)
    run(app, "a")
    record(app)
    text, content_type = Metrics(app).exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert {"umbel_executions", "umbel_run_seconds"} <= {one.name for one in open_families(text.decode())}


def test_each_query_of_the_grafana_dashboard_finds_its_metric(app: Umbel) -> None:
    record(app)
    run(app, "a")
    record(app)
    exposed = {name for name, _ in told(app)}
    text = GRAFANA.read_text()
    board = json.loads(text)
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [one["query"] for one in board["templating"]["list"]]
    assert len(queries) > 20
    for query in queries:
        named = set(re.findall(r"\bumbel_\w+", query))
        assert named <= exposed, query
        assert named or query == "prometheus"
    page = (ROOT / "docs" / "operate" / "monitoring.md").read_text()
    plain = {re.sub(r"_(bucket|sum|count)$", "", name) for name in exposed}
    assert {name for name in plain if f"`{name}`" not in page} == set(), "all of them are documented"
    assert set(re.findall(r"\bumbel_[a-z_]+", page)) - {"umbel_"} <= exposed | plain


def test_what_an_autoscaler_is_told_follows_from_what_was_counted(app: Umbel) -> None:
    record(app)
    run(app, *(f"j{number}" for number in range(30)))
    record(app)
    app.engine.enqueue([Outgoing("mail", payload(f"w{number}"), f"w{number}") for number in range(240)])
    app.engine.enqueue([Outgoing("bulk", payload("x"), "x")])
    found = Scaling(app).ask(["mail"])
    assert found.load.ready == 240
    assert found.load.run == pytest.approx(0.3)
    assert (found.load.replicas, found.load.slots) == (1, 10)
    assert found.slots >= 1.19
    assert Scaling(app).ask(["bulk"]).load.ready == 1
    assert Scaling(app).ask(["bulk"]).load.replicas == 0
    assert Scaling(app).ask().load.ready == 241
