"""What the history is told of an execution of which no state is stored."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from umbel.engine.burial import letter_of
from umbel.engine.execution import Execution
from umbel.engine.short_path import ShortPath
from umbel.engine.store import Delivery, Outgoing, Record, Settled
from umbel.engine.telling import ended_of
from umbel.state.events import pack_ends


class _Flusher:
    in_process = True
    tells = True


def execution(*, started: float = 5.0, unrecorded: bool = True, in_process: bool = True) -> Execution:
    flusher: Any = _Flusher()
    flusher.in_process = in_process
    made = Execution(Delivery(1, "default", "{}", 1, enqueued=3.0, task_id="a"), flusher, {}, unrecorded=unrecorded)
    made.started = started
    return made


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        (Settled(1, "ack"), "SUCCESS"),
        (Settled(1, "requeue"), "REQUEUED"),
        (Settled(1, "crash"), "CRASHED"),
        (Settled(1, "keep"), None),
        (Settled(1, "ack", outgoing=[Outgoing("default", "{}", "a")]), "RETRY"),
        (Settled(1, "ack", outgoing=[Outgoing("default", "{}", "other")]), "SUCCESS"),
        (Settled(1, "ack", records=[Record("a", "STARTED", False, "{}")]), "SUCCESS"),
        (Settled(1, "ack", records=[Record("a", "REVOKED", True, "{}")]), "REVOKED"),
    ],
)
def test_c23_an_end_is_told_by_what_it_leaves_behind(entry: Settled, state: str | None) -> None:
    told = ended_of(execution(), entry)
    assert (None if told is None else told.state) == state


def test_c23_what_never_began_is_no_try() -> None:
    assert ended_of(execution(started=0.0), Settled(1, "requeue")) is None
    assert ended_of(execution(started=0.0), Settled(1, "ack", outgoing=[Outgoing("q", "{}", "a")])) is None


def _recorded(result: Any, **more: Any) -> Record:
    """What the short path stores of a success."""
    path = object.__new__(ShortPath)
    path._expires, path._protected, path._prepared = None, None, lambda value: value
    path._encode = lambda meta: json.dumps(meta)
    request: Any = SimpleNamespace(id="a", execution=SimpleNamespace(progress=more.pop("progress", None)))
    context: Any = SimpleNamespace(_children=None, group=None, parent_id=None, **more)
    return path._record(request, context, "SUCCESS", result)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(_JSON)
@example(',"traceback":null,"children":[],"date_done":')
@example({',"traceback":null,"children":[],"date_done":': [{"status": "SUCCESS"}]})
def test_c23_of_a_plain_success_only_its_result_is_told(result: Any) -> None:
    told = ended_of(execution(unrecorded=False), Settled(1, "ack", records=[_recorded(result)]))
    assert told is not None
    assert (told.state, told.document) == ("SUCCESS", None)
    assert json.loads(str(told.result)) == result


def test_c23_what_says_more_than_a_result_is_told_whole() -> None:
    for record in (_recorded(1, progress=(1, 2, "half")), Record("a", "FAILURE", True, '{"status":"FAILURE"}')):
        told = ended_of(execution(unrecorded=False), Settled(1, "ack", records=[record]))
        assert told is not None
        assert (told.document, told.result) == (record.meta, None)


def test_c23_what_a_prefork_child_tells_its_parent_does_not() -> None:
    parents = execution(unrecorded=False, in_process=False)
    assert ended_of(parents, Settled(1, "ack")) is None
    crashed = ended_of(parents, Settled(1, "crash"))
    assert crashed is not None
    assert crashed.state == "CRASHED"


def test_c35_a_failure_without_a_result_is_told_with_its_error() -> None:
    delivery = Delivery(1, "default", "{}", 1, task_id="a")
    letter = letter_of(delivery, error=ValueError("no"), traceback="Traceback: here")
    told = ended_of(execution(), Settled(1, "ack", letter))
    assert told is not None
    document = json.loads(told.document or "")
    assert (told.state, document["result"]["exc_type"], document["traceback"]) == (
        "FAILURE",
        "ValueError",
        "Traceback: here",
    )
    assert "no" in document["result"]["exc_message"][0]


def test_c18_a_plain_clients_message_that_is_no_text_keeps_no_end_from_being_written() -> None:
    flusher: Any = _Flusher()
    plain = Execution(Delivery(1, "default", "\udcff", 1, task_id="a"), flusher, {}, unrecorded=True)
    plain.started = 5.0
    told = ended_of(plain, Settled(1, "ack"))
    assert told is not None
    assert told.payload == "?"
    assert pack_ends("worker", None, [told])
