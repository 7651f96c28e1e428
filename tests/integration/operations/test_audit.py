"""C44: whatever somebody does, or may not do, or could not do, is one entry in the audit log."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable

import pytest

from tests.integration.operations.stand import ANN, SECRET, VERA, Stand, failed, waiting
from umbel.engine.letters import LetterFilter
from umbel.errors import JobNotFound, NotPermitted, StoreUnreachable
from umbel.monitor.actors import Actor
from umbel.monitor.operations import Operations

#: Every action that there is, on what is not there or does nothing.
ACTIONS: dict[str, Callable[[Operations, Actor], object]] = {
    "job.cancel": lambda do, by: do.jobs.cancel("a", by=by),
    "job.retry": lambda do, by: do.jobs.retry("a", by=by),
    "job.rerun": lambda do, by: do.jobs.rerun("a", by=by),
    "job.delete": lambda do, by: do.jobs.delete("a", by=by),
    "job.put_back": lambda do, by: do.jobs.put_back("a", by=by),
    "jobs.cancel": lambda do, by: do.jobs.cancel_all(do.jobs.preview(waiting()), by=by),
    "jobs.retry": lambda do, by: do.jobs.retry_all(do.jobs.preview(failed()), by=by),
    "jobs.rerun": lambda do, by: do.jobs.rerun_all(do.jobs.preview(failed()), by=by),
    "jobs.delete": lambda do, by: do.jobs.delete_all(do.jobs.preview(failed()), by=by),
    "letter.replay": lambda do, by: do.letters.replay("a", by=by),
    "letter.drop": lambda do, by: do.letters.drop("a", by=by),
    "letters.replay": lambda do, by: do.letters.replay_all(do.letters.preview(LetterFilter()), by=by),
    "letters.drop": lambda do, by: do.letters.drop_all(do.letters.preview(LetterFilter()), by=by),
    "letters.canary": lambda do, by: do.letters.begin_canary(do.letters.preview(LetterFilter()), by=by),
    "letters.canary.stop": lambda do, by: do.letters.canaries.stop("a", by=by),
    "queue.pause": lambda do, by: do.queues.pause("celery", by=by),
    "queue.resume": lambda do, by: do.queues.resume("celery", by=by),
    "queue.purge": lambda do, by: do.queues.purge("celery", by=by),
    "worker.drain": lambda do, by: do.workers.drain("w9@nowhere", by=by),
    "worker.grow": lambda do, by: do.workers.grow("w9@nowhere", by=by),
    "worker.shrink": lambda do, by: do.workers.shrink("w9@nowhere", by=by),
    "limit.change": lambda do, by: do.limits.change("shop.add", "5/m", by=by),
    "limit.reset": lambda do, by: do.limits.reset("shop.add", by=by),
    "schedule.run": lambda do, by: do.schedules.run_now("nightly", by=by),
    "alert.acknowledge": lambda do, by: do.alerts.acknowledge(1, by=by),
    "batch.cancel": lambda do, by: do.batches.cancel("a", by=by),
    "effect.done": lambda do, by: do.effects.is_done("a", by=by),
    "effect.not_done": lambda do, by: do.effects.is_not_done("a", by=by),
}


def test_every_action_is_among_them(embedded: Stand) -> None:
    """So that none is left out of what follows."""
    nouns = [noun for name, noun in vars(embedded.app.operations).items() if not name.startswith("_")]
    nouns.append(embedded.letters.canaries)
    verbs = {
        f"{type(noun).__name__}.{name}"
        for noun in nouns
        for name, value in vars(type(noun)).items()
        if callable(value) and not name.startswith("_") and "by" in inspect.signature(value).parameters
    }
    # begin() is what begin_canary() calls, and canary() does that here and now.
    assert len(verbs - {"Canaries.begin", "LetterOperations.canary"}) == len(ACTIONS), sorted(verbs)


def test_c44_a_viewer_is_refused_and_that_is_written_down(embedded: Stand) -> None:
    embedded.put("a")
    before = embedded.engine.queues()
    for action, act in ACTIONS.items():
        with pytest.raises(NotPermitted) as refused:
            act(embedded.app.operations, VERA)
        assert refused.value.action == action
    entries = [(one.actor, one.role, one.action, one.outcome) for one in embedded.audit()]
    assert entries == [("vera", "viewer", action, "refused") for action in ACTIONS]
    assert embedded.engine.queues() == before
    assert embedded.work() == ["a"]


def test_c44_each_action_is_one_entry_however_it_ends(embedded: Stand) -> None:
    embedded.put("b")
    for action, act in ACTIONS.items():
        known = len(embedded.audit())
        try:
            act(embedded.app.operations, ANN)
            outcome = "done"
        except Exception as error:
            outcome = str(error)
        entries = [one for one in embedded.audit()[known:] if one.action != "letters.canary.end"]
        assert [(one.actor, one.via, one.action, one.outcome) for one in entries] == [("ann", "token", action, outcome)]


def test_c44_an_entry_says_what_was_done(embedded: Stand) -> None:
    embedded.put("a", "b")
    embedded.jobs.cancel_all(embedded.jobs.preview(waiting(text=SECRET, task="shop.add")), by=ANN)
    embedded.jobs.cancel_all(embedded.jobs.preview(waiting(task="shop.add")), by=ANN)
    with pytest.raises(JobNotFound):
        embedded.jobs.cancel("nobody", by=ANN)
    first, second, third = embedded.audit()
    assert first.target == "states=queued, task=shop.add, text=…"
    assert second.target == "states=queued, task=shop.add"
    assert json.loads(second.detail or "") == {"previewed": 2, "done": 2, "left_alone": 0, "failed": 0}
    assert (third.target, third.succeeded) == ("nobody", False)
    assert "There is no job 'nobody'" in third.outcome


def test_c44_nothing_is_done_while_the_audit_log_is_away(
    embedded: Stand, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    embedded.put("a")

    def away(*_: object, **__: object) -> None:
        raise StoreUnreachable("history", "it is away")

    with monkeypatch.context() as patch:
        patch.setattr(embedded.app.history.audit, "find", away)
        with pytest.raises(StoreUnreachable):
            embedded.jobs.cancel("a", by=ANN)
    assert embedded.work() == ["a"]
    embedded.put("b")
    monkeypatch.setattr(embedded.app.history.audit, "write", away)
    with caplog.at_level(logging.ERROR):
        embedded.jobs.cancel("b", by=ANN)
    assert "job.cancel by ann via token on 'b'" in caplog.text
