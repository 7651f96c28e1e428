"""The jobs' router by itself: who may see what, which answer means what, nothing blocks the loop (C20, C22, C44)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException, Request

from tests.integration.web.stub_app import DEADLINE, StubUmbel, serving
from umbel.errors import ConfigurationError, StoreReadOnly
from umbel.states import JobState
from umbel.web.router import EVERY_OWNER, build_router


@pytest.fixture
def umbel() -> StubUmbel:
    return StubUmbel()


ClientOf = Callable[..., httpx.Client]


@pytest.fixture
def client_of() -> Iterator[ClientOf]:
    """Serve the router of a stand-in by a real Uvicorn; returns a client of it."""
    with ExitStack() as stack:

        def client_of(umbel: StubUmbel, **options: Any) -> httpx.Client:
            api = FastAPI()
            api.include_router(build_router(umbel, **options))  # type: ignore[arg-type]
            address = stack.enter_context(serving(api))
            return stack.enter_context(httpx.Client(base_url=address, timeout=DEADLINE))

        yield client_of


def by_header(request: Request) -> str | None:
    return request.headers.get("x-user")


def is_problem(answer: Any, status: int, kind: str) -> bool:
    body = answer.json()
    return (
        answer.status_code == body["status"] == status
        and answer.headers["content-type"] == "application/problem+json"
        and body["type"] == f"urn:umbel:problem:{kind}"
        and body["detail"].count(". ") == 0
    )


def test_c20_refuses_to_mount_without_owner_or_guard(umbel: StubUmbel) -> None:
    with pytest.raises(ConfigurationError, match=r"owner=.*guard=.*UMBEL_DEBUG"):
        build_router(umbel)  # type: ignore[arg-type]


def test_c20_debug_mode_mounts_openly(umbel: StubUmbel, client_of: ClientOf) -> None:
    umbel.debug = True
    umbel.add("a", owner="ann")
    assert client_of(umbel).get("/jobs/a").status_code == 200


def test_c20_status_is_the_whole_document_and_not_cached(umbel: StubUmbel, client_of: ClientOf) -> None:
    job = umbel.add("a", state=JobState.PROGRESS, progress={"done": 1, "total": 4, "message": "packing"})
    answer = client_of(umbel, owner=by_header).get("/jobs/a")
    assert answer.status_code == 200
    assert answer.json() == job.as_dict()
    assert answer.headers["cache-control"] == "no-store"


def test_c20_only_the_owner_sees_a_job_and_others_cannot_tell_that_it_exists(
    umbel: StubUmbel, client_of: ClientOf
) -> None:
    umbel.add("a", owner="ann")
    client = client_of(umbel, owner=by_header)
    for method, path in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("DELETE", "")):
        unknown = client.request(method, f"/jobs/nothing{path}", headers={"x-user": "bob"})
        assert is_problem(unknown, 404, "job-not-found")
        for headers in ({"x-user": "bob"}, {}):
            foreign = client.request(method, f"/jobs/a{path}", headers=headers)
            assert (foreign.status_code, foreign.content) == (404, unknown.content)
    assert umbel.jobs["a"].state is JobState.QUEUED
    assert client.get("/jobs/a", headers={"x-user": "ann"}).status_code == 200


async def asynchronous(request: Request) -> str | None:
    return request.headers.get("x-user")


def injected(x_user: Annotated[str | None, Header()] = None) -> str | None:
    return x_user


class CallableObject:
    async def __call__(self, request):  # type: ignore[no-untyped-def]
        return request.headers.get("x-user")


@pytest.mark.parametrize(
    "owner",
    [
        by_header,
        asynchronous,
        injected,
        Depends(injected),
        lambda request: request.headers.get("x-user"),
        CallableObject(),
    ],
    ids=["plain", "async", "dependency", "Depends", "lambda", "object"],
)
def test_c20_owner_may_be_any_callable_or_dependency(umbel: StubUmbel, client_of: ClientOf, owner: Any) -> None:
    umbel.add("a", owner="ann")
    client = client_of(umbel, owner=owner)
    assert client.get("/jobs/a", headers={"x-user": "ann"}).status_code == 200
    assert client.get("/jobs/a", headers={"x-user": "bob"}).status_code == 404
    assert client.get("/jobs/a").status_code == 404


def test_c20_owner_may_be_a_number_and_an_operator_sees_all(umbel: StubUmbel, client_of: ClientOf) -> None:
    umbel.add("a", owner="7")
    assert client_of(umbel, owner=lambda request: 7).get("/jobs/a").status_code == 200
    assert client_of(umbel, owner=lambda request: EVERY_OWNER).get("/jobs/a").status_code == 200
    assert client_of(umbel, owner=lambda request: repr(EVERY_OWNER)).get("/jobs/a").status_code == 404


def test_c20_guard_comes_before_the_store_and_names_nobody(umbel: StubUmbel, client_of: ClientOf) -> None:
    def guard(x_key: Annotated[str, Header()] = "") -> None:
        if x_key != "open":
            raise HTTPException(401, "no")

    umbel.add("free")
    umbel.add("owned", owner="ann")
    client = client_of(umbel, guard=guard)
    assert client.get("/jobs/free").status_code == 401
    assert umbel.reads == 0
    assert client.get("/jobs/free", headers={"x-key": "open"}).status_code == 200
    assert client.get("/jobs/owned", headers={"x-key": "open"}).status_code == 404


@pytest.mark.parametrize("job_id", ["%00", "a" * 129, "a%20b", "%C3%A4", ".hidden", "a'--", "%0d%0aX:1"])
def test_c20_malformed_ids_never_reach_the_store(umbel: StubUmbel, client_of: ClientOf, job_id: str) -> None:
    assert is_problem(client_of(umbel, owner=by_header).get(f"/jobs/{job_id}"), 404, "job-not-found")
    assert umbel.reads == 0


def test_c20_nothing_of_the_store_runs_on_the_event_loop(umbel: StubUmbel, client_of: ClientOf) -> None:
    umbel.add("a")
    client = client_of(umbel, owner=by_header)
    client.get("/jobs/a")
    client.get("/jobs/a/result")
    client.delete("/jobs/a")
    assert umbel.reads == 3
    assert not umbel.read_on_loop


def test_c20_odd_text_is_still_valid_json(umbel: StubUmbel, client_of: ClientOf) -> None:
    """A file name that was no UTF-8 arrives as a lone surrogate, which no encoder takes."""
    umbel.add("a", state=JobState.FAILED, error="FileNotFoundError: caf\udce9.csv\u2028", meta={"\udce9": 1})
    answer = client_of(umbel, owner=by_header).get("/jobs/a")
    assert answer.json()["error"] == "FileNotFoundError: caf?.csv\u2028"


def test_c20_result_is_200_only_with_a_result(umbel: StubUmbel, client_of: ClientOf) -> None:
    client = client_of(umbel, owner=by_header)
    umbel.add("done", state=JobState.SUCCEEDED, result={"pages": 3})
    answer = client.get("/jobs/done/result")
    assert (answer.status_code, answer.json()) == (200, {"id": "done", "state": "succeeded", "result": {"pages": 3}})
    for state in JobState:
        if state.finished:
            continue
        umbel.add("open", state=state)
        answer = client.get("/jobs/open/result")
        assert is_problem(answer, 409, "job-not-finished")
        assert answer.json()["state"] == state
        assert answer.headers["retry-after"] == "1"


def test_c20_result_of_a_job_that_ended_without_one_is_gone(umbel: StubUmbel, client_of: ClientOf) -> None:
    client = client_of(umbel, owner=by_header)
    umbel.add("a", state=JobState.FAILED, error="ValueError: no stock")
    answer = client.get("/jobs/a/result")
    assert is_problem(answer, 410, "job-failed")
    assert answer.json()["error"] == "ValueError: no stock"
    for state in (JobState.CANCELLED, JobState.EXPIRED):
        umbel.add("a", state=state)
        assert is_problem(client.get("/jobs/a/result"), 410, f"job-{state}")


def test_c22_cancel_answers(umbel: StubUmbel, client_of: ClientOf) -> None:
    client = client_of(umbel, owner=by_header)
    umbel.add("waiting")
    for _ in range(2):  # a client whose first answer was lost may ask again
        answer = client.delete("/jobs/waiting")
        assert (answer.status_code, answer.json()) == (200, {"id": "waiting", "state": "cancelled"})
    for state in (JobState.RUNNING, JobState.PROGRESS):
        umbel.add("running", state=state)
        answer = client.delete("/jobs/running")
        assert (answer.status_code, answer.json()) == (202, {"id": "running", "state": "cancelled"})
    for state in (JobState.SUCCEEDED, JobState.FAILED, JobState.EXPIRED):
        umbel.add("over", state=state)
        answer = client.delete("/jobs/over")
        assert is_problem(answer, 409, "job-finished")
        assert answer.json()["state"] == state
    assert is_problem(client.delete("/jobs/nothing"), 404, "job-not-found")


@pytest.mark.parametrize("failure", [StoreReadOnly("/srv/secret/umbel.db", "mode 0400"), TimeoutError("lost")])
def test_a_store_that_is_away_is_503_and_its_path_stays_inside(
    umbel: StubUmbel, client_of: ClientOf, failure: Exception
) -> None:
    umbel.failure = failure
    answer = client_of(umbel, owner=by_header).get("/jobs/a")
    assert is_problem(answer, 503, "store-unavailable")
    assert "secret" not in answer.text
    assert answer.headers["retry-after"] == "1"


def test_a_broker_that_cannot_tell_is_said_in_one_sentence(umbel: StubUmbel, client_of: ClientOf) -> None:
    umbel.failure = ConfigurationError("redis: cannot tell where a job is: this needs the embedded engine.")
    answer = client_of(umbel, owner=by_header).get("/jobs/a")
    assert is_problem(answer, 501, "engine-without-status")


def test_openapi_names_the_shapes(umbel: StubUmbel, client_of: ClientOf) -> None:
    document = client_of(umbel, owner=by_header, prefix="/work").get("/openapi.json").json()
    paths = ("{job_id}", "{job_id}/result", "{job_id}/events", "batches/{batch_id}")
    assert set(document["paths"]) == {f"/work/{path}" for path in paths}
    assert {"JobDocument", "ResultDocument", "ProblemDocument", "CancelDocument", "BatchDocument"} <= set(
        document["components"]["schemas"]
    )
    parameters = document["paths"]["/work/{job_id}"]["get"]["parameters"]
    assert [parameter["name"] for parameter in parameters] == ["job_id"]
