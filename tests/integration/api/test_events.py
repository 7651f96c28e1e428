"""C21: event streams of the API resume, and tell nothing that only the job's owner is to have."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.api.conftest import OPERATOR, Api
from tests.integration.operations.stand import Stand
from tests.integration.web.stub_app import Event, event_stream

TOKEN = {"Authorization": f"Bearer {OPERATOR}"}


def first(events: Iterator[Event], number: int) -> list[Event]:
    return [next(events) for _ in range(number)]


def test_the_feed_tells_each_job_once_and_goes_on_where_it_was(stand: Stand, address: str) -> None:
    with event_stream(f"{address}/events", "0", **TOKEN) as events:
        stand.put("a", "b")
        seen = first(events, 2)
    stand.put("c", "d")
    with event_stream(f"{address}/events", seen[-1].id, **TOKEN) as events:
        seen += first(events, 2)
    assert [event.data["id"] for event in seen] == [*"abcd"]
    assert {event.name for event in seen} == {"job"}


def test_the_stream_of_a_job_ends_with_it_and_tells_no_result(stand: Stand, address: str, api: Api) -> None:
    stand.put("a")
    with event_stream(f"{address}/jobs/a/events", **TOKEN) as events:
        (begun,) = first(events, 1)
        stand.work()
        rest = list(events)
    assert begun.data["state"] == "queued"
    assert (rest[-1].name, rest[-1].data["state"]) == ("finished", "succeeded")
    assert all("result" not in event.data and "error" not in event.data for event in (begun, *rest))
    assert api.get("/jobs/a/events", headers={"Last-Event-ID": rest[-1].id}).status_code == 204
    assert api.get("/jobs/nobody/events").status_code == 404
