"""What of batches needs no store."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context

from umbel.engine.batches import ANY, CANCELLED, DONE, FAILED
from umbel.engine.store import Stored
from umbel.errors import ConfigurationError
from umbel.jobs.batch_ids import batch_id, member_id
from umbel.jobs.batch_status import allowance
from umbel.jobs.batch_sweep import _outcome
from umbel.jobs.silence import Silence


def request(task_id: str = "job") -> Any:
    return Context(id=task_id)


def ids(job: Any, *said: Any, **how: Any) -> list[str]:
    return [member_id(job, "b", how.get("task"), "t", (one,), {}, encrypts=how.get("encrypts", False)) for one in said]


def test_a_job_that_runs_again_gives_the_same_ids() -> None:
    first = ids(request(), 1, 2, 2, 3)
    assert len(set(first)) == 4
    assert ids(request(), 1, 2, 2, 3) == first
    assert ids(request(), 3, 2) == [first[3], first[1]], "also when it adds less"
    assert not set(ids(request("another"), 1, 2, 2, 3)) & set(first)
    assert batch_id(request(), "x") == batch_id(request(), "x") != batch_id(request(), "y")


def test_outside_of_a_job_and_of_secrets_ids_are_new() -> None:
    secret = SimpleNamespace(conceal=lambda args, kwargs: (args, kwargs))
    for how in ({"job": None}, {"job": request(), "encrypts": True}, {"job": request(), "task": secret}):
        job = how.pop("job")
        assert ids(job, 1, **how) != ids(job, 1, **how)
    assert batch_id(None, "x") != batch_id(None, "x")
    assert ids(request(), object()) != ids(request(), object()), "what JSON cannot say"


@pytest.mark.parametrize(
    ("value", "meant"),
    [(0, (0, False)), (5, (5, False)), (False, (0, False)), (True, (ANY, False)), ("any", (ANY, False))]
    + [(0.1, (100_000, True)), ("2.5%", (25_000, True)), (1.0, (1_000_000, True)), ("0%", (0, True))],
)
def test_allowances(value: Any, meant: tuple[int, bool]) -> None:
    assert allowance(value, "x") == meant
    with pytest.raises(ConfigurationError):
        allowance([value], "x")


def stored(state: str, final: bool, age: float = 0.0) -> Stored:
    return Stored("a", state, final, "{}", 0, None, None, None, time.time() - age)


@pytest.mark.parametrize(
    ("state", "queued", "outcome"),
    [
        (None, True, None),
        (None, False, CANCELLED),
        (stored("SUCCESS", True), False, DONE),
        (stored("SUCCESS", True), True, DONE),
        (stored("FAILURE", True), False, FAILED),
        (stored("REVOKED", True), False, CANCELLED),
        # Its message is still to be met.
        (stored("REVOKED", True), True, None),
        (stored("STARTED", False), False, None),
        (stored("STARTED", False, age=3601), False, None),
        (stored("STARTED", False, age=3601), True, None),
        (stored("RETRY", False), True, None),
    ],
)
def test_what_the_sweeper_makes_of_a_member(state: Stored | None, queued: bool, outcome: str | None) -> None:
    assert _outcome(state, queued, Silence()) == outcome


def test_the_sweeper_gives_a_member_up_when_it_has_watched_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is done to the wall clock meanwhile, here or at the store."""
    silence, now = Silence(), [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    old, newer = stored("STARTED", False), stored("PROGRESS", False, age=-7200)

    def after(seconds: float, state: Stored) -> str | None:
        now[0] += seconds
        return _outcome(state, False, silence)

    monkeypatch.setattr("time.time", lambda: old.updated + 1_000_000.0)
    assert after(0, old) is None
    assert after(3000, old) is None
    assert after(500, newer) is None, "something was heard of it"
    assert after(3600, newer) is None
    silence.tidy()
    assert after(1, newer) == FAILED
    now[0] += 4 * 3600
    silence.tidy()
    assert after(0, newer) is None, "forgotten"
