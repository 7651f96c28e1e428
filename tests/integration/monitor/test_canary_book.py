"""Replays with care in the history, on each database: who goes on with one, and who does not any more (C36)."""

from __future__ import annotations

from dataclasses import replace

from umbel.engine.letters import LetterFilter
from umbel.jobs.canary import CanaryEnd, CanaryPlan, CanaryStep, Chosen
from umbel.monitor.actors import Actor, Role
from umbel.monitor.canary_book import CanaryBook, CanaryRun
from umbel.monitor.history import History

ANN = Actor("ann", Role.OPERATOR, "openid")
PLAN = CanaryPlan(where=LetterFilter(task="shop.charge"), total=3, below=8, planned=(Chosen("j3", 7, 1),))


def begun(book: CanaryBook, name: str, at: float, store: str = "s") -> None:
    run = CanaryRun(id=name, by="ann", where="task=\0", previewed=3, began=at)
    book.add(run, ANN, store=store, plan=PLAN, runner="first")


def test_one_runner_at_a_time_goes_on_with_a_canary(history: History) -> None:
    book = CanaryBook(history.database)
    begun(book, "a", 100.0)
    assert book.take_over("s", "second") is None, "its runner has just been heard of"
    assert book.take_over("other", "second", silent=-60.0) is None, "another store's"
    further = replace(PLAN, planned=(), flight=PLAN.planned, step=CanaryStep(2, 1, 0))
    assert book.keep("a", "first", further)
    found = book.take_over("s", "second", silent=-60.0)
    assert found is not None
    assert (found.id, found.by, found.plan) == ("a", ANN, further)
    assert not book.keep("a", "first", PLAN)
    assert not book.end("a", "first", PLAN, "done")
    assert not book.is_stopped("a")
    book.stop("a")
    assert book.is_stopped("a")
    assert book.end("a", "second", replace(further, end=CanaryEnd.FAILED), "failed")
    assert not book.keep("a", "second", further)
    assert book.take_over("s", "third", silent=-60.0) is None
    seen = book.get("a")
    assert seen is not None
    assert (seen.end, seen.left, seen.replayed, seen.succeeded) == ("failed", 1, 2, 1)
    assert seen.text == "2 replayed, 1 succeeded, 0 failed again: that is too many, 1 left alone."


def test_the_last_ones_that_ended_are_told_of_and_all_that_go_on(history: History) -> None:
    book = CanaryBook(history.database)
    begun(book, "goes on", 0.0)
    for number in range(55):
        begun(book, str(number), float(number + 1))
        book.end(str(number), "first", PLAN, "stopped")
    known = [run.id for run in book.all()]
    assert (known[0], known[-1], len(known)) == ("54", "goes on", 51)
