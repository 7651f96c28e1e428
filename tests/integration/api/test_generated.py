"""The whole API with whatever fits its document, and whatever does not: as an operator, as a viewer, and as nobody.

No 500; every answer is one that the document tells of, and has the shape that it says; what a sensitive argument was
is in no answer, no table, no log line, no event (C43).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS

from tests.integration.api.conftest import OPERATOR, VIEWER, made_stand
from tests.integration.operations.stand import ANN, SECRET, Stand
from tests.integration.web.stub_app import serving
from umbel.errors import UmbelError
from umbel.monitor import workers_view
from umbel.monitor.operations import workers as worker_operations
from umbel.web.site import build_web

#: The last tests look at what the first ones have left.
pytestmark = pytest.mark.xdist_group("generated")

_CHECKED = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
#: What is there to be found under the names of paths.
_KNOWN = {
    "job_id": ["waits", "paid", "lost", "ran", "died"],
    "key": ["died", "lost"],
    "name": ["celery", "shop.add", "w1@here", "nightly"],
    "batch_id": ["batch"],
}


@dataclass
class Place:
    """A site with jobs in all states, among them some with a secret."""

    stand: Stand
    address: str
    document: dict[str, Any]
    logged: list[str]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers as the stand's worker."""
    monkeypatch.setattr(worker_operations, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(workers_view, "_ANSWER_SECONDS", 0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    handler, root = _Lines(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    stand = made_stand(tmp_path_factory.mktemp("api"))
    try:
        _fill(stand)
        site = build_web(stand.app)
        with serving(site) as address:
            yield Place(stand, address, site.openapi(), handler.lines)
    finally:
        stand.close()
        root.removeHandler(handler)
        root.setLevel(level)


def _fill(stand: Stand) -> None:
    stand.put("ran", "died")
    for one in ("paid", "lost"):
        stand.charge.apply_async((5,), {"card": SECRET}, task_id=one)
    # Inside of another's message, as its link.
    stand.add.apply_async((1, 2), task_id="linked", link=stand.charge.s(card=SECRET))
    stand.record()
    stand.work(fail={"died", "lost"})
    stand.charge.apply_async((5,), {"card": SECRET}, task_id="due", countdown=3600)
    stand.charge.apply_async((5,), {"card": SECRET}, task_id="waits")
    with stand.app.batch("cards") as batch:
        batch.add_many(stand.charge, [((7,), {"card": SECRET})])
    _KNOWN["batch_id"] = [batch.id]
    stand.jobs.rerun("paid", by=ANN, args=[6], kwargs={"card": SECRET})
    for wrong in ({"card": SECRET, "odd": 1}, {SECRET: SECRET}):
        with pytest.raises(UmbelError):
            stand.jobs.rerun("paid", by=ANN, args=[6], kwargs=wrong)
    stand.record()


def test_c43_a_secret_is_in_no_event_of_a_stream(place: Place) -> None:
    seen: list[bytes] = []
    headers = {"Authorization": f"Bearer {OPERATOR}", "Last-Event-ID": "0"}
    for path in ("/api/events", "/api/jobs/waits/events", "/api/jobs/paid/events"):
        with requests.get(f"{place.address}{path}", headers=headers, stream=True, timeout=60) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                seen.append(line)
                if len(seen) % 15 == 0 or b'"waits"' in line:
                    break
    text = b"\n".join(seen)
    assert b'"paid"' in text
    assert SECRET.encode() not in text


@pytest.mark.parametrize(
    ("token", "examples"), [(OPERATOR, 5), (VIEWER, 2), (None, 1)], ids=["operator", "viewer", "nobody"]
)
def test_c44_every_answer_is_as_the_document_says(place: Place, token: str | None, examples: int) -> None:
    found = schemathesis.openapi.from_dict(place.document)
    asked = 0
    with closing(requests.Session()) as session:
        if token is not None:
            session.headers["Authorization"] = f"Bearer {token}"
        for result in found.get_all_operations():
            operation = result.ok()
            if operation.path.endswith("/events"):
                # They end when whoever listens does: tested by themselves.
                continue
            _try(operation, examples, lambda case: _ask(place, session, case, token))
            asked += 1
    assert asked > 45
    place.stand.record()


def _try(operation: Any, examples: int, ask: Callable[[Any], None]) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_cases(operation), data=st.data())
    def one(case: Any, data: st.DataObject) -> None:
        for name in (case.path_parameters or {}).keys() & _KNOWN.keys():
            if data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(_KNOWN[name]))
        ask(case)

    one()


def _cases(operation: Any) -> Any:
    """What fits the document, and, where anything is taken, what does not."""
    fitting = operation.as_strategy()
    takes = bool(operation.query or operation.body)
    return st.one_of(fitting, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)) if takes else fitting


def _ask(place: Place, session: requests.Session, case: Any, token: str | None) -> None:
    if case.operation.path.endswith("/drain"):
        # The stand's own process is the worker.
        case.path_parameters = dict.fromkeys(case.path_parameters or {}, "w9@nowhere")
    answer = case.call(base_url=place.address, session=session, timeout=60)
    # The stand's worker does not answer.
    assert answer.status_code < 500 or answer.status_code == 504, answer.text
    assert SECRET not in answer.text
    assert SECRET not in str(answer.headers)
    if token is None:
        assert answer.status_code == 401, f"{case.method} {case.formatted_path}: {answer.status_code}"
    if token == VIEWER and case.method != "GET":
        # A body that cannot be read is refused before it is asked who sends it.
        assert answer.status_code in (400, 403)
    case.validate_response(answer, checks=CHECKS.get_by_names(_CHECKED))


def test_c43_a_secret_is_in_no_table_no_log_and_no_event(place: Place) -> None:
    """After everything that the tests before have done."""
    stand = place.stand
    stand.record()
    with closing(sqlite3.connect(str(stand.app.history.database.address.database))) as history:
        tables = [name for (name,) in history.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert {"umbel_jobs", "umbel_messages", "umbel_audit", "umbel_attempts"} <= set(tables)
        rows = sum(_search(history, table) for table in tables)
    assert rows > 100
    store = str(stand.app.store_path)
    with closing(sqlite3.connect(store)) as messages:
        for (table,) in messages.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            _search(messages, table)
    assert place.logged
    assert not [line for line in place.logged if SECRET in line]


def _search(connection: sqlite3.Connection, table: str) -> int:
    rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
    for row in rows:
        assert SECRET not in repr(row), f"in {table}"
    return len(rows)
