"""What is kept of failed attempts is bounded, readable, and alike where the failures are alike."""

from __future__ import annotations

import json
import sys
import traceback
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Retry
from hypothesis import given
from hypothesis import strategies as st

from umbel.engine.burial import REPLAY, letter_of, replay_of, replayed_key
from umbel.engine.failures import FAILURES, Failure, carry, failing, failure_of, failures_in, fingerprint, together
from umbel.engine.store import Delivery
from umbel.errors import NotReplayable

TEXTS = st.text(max_size=6000)
FAILURE = st.builds(Failure, st.floats(0, 2e9), TEXTS, TEXTS, TEXTS, st.integers(0, 99), st.none() | TEXTS)


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def test_c35_a_failure_is_bounded() -> None:
    failure = failure_of(ValueError("x" * 10_000), "first\n" + "y" * 10_000 + "last")
    assert len(failure.message) == 1000
    assert len(failure.traceback) == 4000
    assert failure.traceback.endswith("last")


def test_c35_odd_exceptions_are_kept_too() -> None:
    assert failure_of(Odd()).exception == f"{__name__}.Odd"
    assert "could not be made" in failure_of(Odd()).message
    odd = failure_of(ValueError("a\0b\ud800"))
    assert odd.message.encode() == "a\ufffdb?".encode()


@given(st.lists(FAILURE, max_size=20), FAILURE | st.none())
def test_c35_attempts_together_are_bounded_and_can_be_read(earlier: list[Failure], last: Failure | None) -> None:
    clean = [failure_of(ValueError(one.message), one.traceback, attempt=one.attempt) for one in earlier]
    ending = None if last is None else failure_of(KeyError("the end"), last.traceback)
    text = together(clean, ending)
    assert len(text.encode()) <= 80_000
    found = failures_in(text)
    assert len(found) == min(10, len(clean) + (ending is not None))
    if ending is not None:
        assert found[-1].exception == "KeyError"
    if clean:
        assert found[0].attempt == clean[0].attempt


@given(st.none() | st.integers() | st.text(max_size=50) | st.just('[{"at": "x"}]'))
def test_a_header_that_somebody_else_made_is_no_history(value: Any) -> None:
    assert failures_in(value) == []


def _request(retries: int = 0, headers: dict[str, Any] | None = None, **fields: Any) -> Any:
    known = {"retries": retries, "headers": headers, "called_directly": False, "is_eager": False, **fields}
    return SimpleNamespace(**known)


def _carried(request: Any, retries: int | None = None) -> dict[str, Any]:
    """Return the headers of the message that runs ``request`` again."""
    task = SimpleNamespace(app=SimpleNamespace(settings=SimpleNamespace(release="v1")))
    signature = SimpleNamespace(options={"headers": request.headers})
    carry(signature, task, request, request.retries + 1 if retries is None else retries)
    return signature.options["headers"] or {}


def test_c35_a_retry_carries_the_attempts_so_far() -> None:
    headers: dict[str, Any] = {"umbel_owner": "ann"}
    for number in range(3):
        try:
            raise ValueError(str(number))
        except ValueError:
            headers = _carried(_request(number, headers))
    assert headers["umbel_owner"] == "ann"
    found = failures_in(headers[FAILURES])
    assert [(one.message, one.attempt, one.release) for one in found] == [
        ("0", 0, "v1"),
        ("1", 1, "v1"),
        ("2", 2, "v1"),
    ]
    assert "test_c35_a_retry_carries" in found[0].traceback


@pytest.mark.parametrize("fields", [{"called_directly": True}, {"is_eager": True}])
def test_what_is_no_job_of_a_worker_carries_nothing(fields: dict[str, Any]) -> None:
    with failing(ValueError()):
        assert FAILURES not in _carried(_request(**fields))


def test_what_runs_again_without_having_failed_carries_nothing() -> None:
    assert FAILURES not in _carried(_request())
    with failing(Retry()):
        assert FAILURES not in _carried(_request())
    with failing(ValueError("not an attempt")):
        assert FAILURES not in _carried(_request(2), retries=2)


def test_the_error_that_is_named_counts() -> None:
    try:
        raise ValueError("what happened")
    except ValueError:
        with failing(KeyError("what is said")):
            (failure,) = failures_in(_carried(_request())[FAILURES])
    assert failure.exception == "KeyError"
    assert "what happened" in failure.traceback


# -- fingerprints -----------------------------------------------------------------------------------------------


def _frames(*frames: tuple[str, str]) -> str:
    lines = [f'  File "{file}", line {number}, in {name}\n    code()' for number, (file, name) in enumerate(frames)]
    return "Traceback (most recent call last):\n" + "\n".join(lines) + "\nValueError: x"


def test_c36_a_fingerprint_is_of_the_projects_own_frames() -> None:
    own = ("/srv/app/shop/mail.py", "send")
    library = ("/srv/app/.venv/lib/python3.11/site-packages/httpx/client.py", "get")
    standard = (json.__file__, "loads")
    mark = fingerprint("ValueError", _frames(own), "shop.mail")
    assert mark == fingerprint("ValueError", _frames(library, own, library, standard), "another task")
    assert mark != fingerprint("KeyError", _frames(own), "shop.mail")
    assert mark != fingerprint("ValueError", _frames((own[0], "receive")), "shop.mail")
    assert len(mark) == 12


def test_c36_where_a_release_is_put_and_its_lines_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["/srv/one", "/srv/two"])
    one = fingerprint("E", _frames(("/srv/one/shop/mail.py", "send")), None)
    two = fingerprint("E", _frames(("/srv/two/shop/mail.py", "send")).replace("line 0", "line 99"), None)
    assert one == two


def test_c36_what_failed_outside_of_the_project_is_told_apart_by_its_task() -> None:
    assert fingerprint("E", "", "one") == fingerprint("E", _frames((json.__file__, "loads")), "one")
    assert fingerprint("E", "", "one") != fingerprint("E", "", "two")


def test_c36_a_real_traceback_has_a_fingerprint() -> None:
    marks = set()
    for text in ("one", "two"):
        try:
            json.loads(text)
        except ValueError as error:
            shown = "".join(traceback.format_exception(error))
            marks.add(fingerprint("ValueError", shown, None))
    assert len(marks) == 1


# -- messages ---------------------------------------------------------------------------------------------------


def _delivery(headers: dict[str, Any], **properties: Any) -> Delivery:
    message = {"body": "[[], {}, {}]", "headers": headers, "properties": properties}
    task_id = headers.get("id")
    return Delivery(1, "mail", json.dumps(message), 2, task_id=task_id if isinstance(task_id, str) else None)


def test_c36_a_replay_is_another_message_that_is_due_now() -> None:
    past = "2020-01-01T00:00:00+00:00"
    headers = {"id": "a", "task": "t", "retries": 3, "eta": past, "expires": past}
    delivery = _delivery(headers, message_id="k", delivery_tag="old", priority=7, delivery_info={"exchange": "x"})
    replay = replay_of(letter_of(delivery, error=ValueError("x")), "new")
    message = json.loads(replay.message.payload)
    assert (message["headers"]["retries"], message["headers"]["eta"], message["headers"]["expires"]) == (0, None, None)
    info = {"exchange": "", "routing_key": "mail"}
    assert message["properties"] == {"delivery_tag": "new", "priority": 7, "delivery_info": info}
    assert (replay.message.queue, replay.message.task_id, replay.message.priority) == ("mail", "a", 7)
    assert replay.message.due is None
    assert not replay.message.once
    assert replayed_key(message["headers"]) == "a"


def test_c36_a_time_that_has_not_come_stays() -> None:
    delivery = _delivery({"id": "a", "expires": "2999-01-01T00:00:00+00:00"})
    message = json.loads(replay_of(letter_of(delivery, "why"), 0).message.payload)
    assert message["headers"]["expires"] == "2999-01-01T00:00:00+00:00"


def test_c36_a_damaged_message_is_refused() -> None:
    letter = letter_of(Delivery(1, "mail", "no JSON", 1), "why")
    with pytest.raises(NotReplayable, match="cannot be replayed"):
        replay_of(letter, 0)


HEADERS = st.sampled_from(["id", "task", "umbel_owner", "retries", REPLAY, FAILURES])


@given(st.dictionaries(HEADERS, st.none() | st.integers() | st.text(max_size=20)))
def test_c35_any_headers_make_a_letter(headers: dict[str, Any]) -> None:
    letter = letter_of(_delivery(headers), error=ValueError("x"))
    assert letter.key
    assert letter.key.isprintable()
    assert failures_in(letter.failures)[-1].message == "x"
