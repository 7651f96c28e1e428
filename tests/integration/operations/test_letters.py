"""What a person may do to dead letters: one, all that were previewed, or with care (C36)."""

from __future__ import annotations

import pytest

from tests.integration.operations.stand import ANN, Stand
from tests.integration.worker.plant import until
from umbel import JobState
from umbel.engine.letters import LetterFilter
from umbel.errors import LetterBusy, LetterNotFound, OperationError, UnknownName
from umbel.jobs.canary import canary_plan
from umbel.monitor.canary_book import CanaryBook, CanaryRun
from umbel.monitor.canary_keeper import CanaryKeeper
from umbel.monitor.operations import LetterSelection
from umbel.monitor.operations import letters as letter_operations

ANY = LetterFilter()


def test_c36_one_is_replayed_and_dropped(stand: Stand) -> None:
    stand.put("a", "b")
    stand.work(fail=True)
    number = stand.app.dead_letters.show("a").id
    assert stand.letters.replay(str(number), by=ANN).target == "a"
    with pytest.raises(LetterBusy):
        stand.letters.replay("a", by=ANN)
    assert stand.letters.drop("b", by=ANN).count == 1
    with pytest.raises(LetterNotFound):
        stand.letters.drop("b", by=ANN)
    assert stand.work() == ["a"]


def test_c36_all_that_were_previewed_and_none_that_died_later(stand: Stand) -> None:
    stand.put("a", "b", "c")
    stand.work(fail=True)
    selection = stand.letters.preview(ANY)
    assert selection.count == 3
    stand.app.dead_letters.replay("b")
    # It dies again, which is another death.
    stand.put("d")
    stand.work(fail=True)
    done = stand.letters.replay_all(LetterSelection.marked(ANY, selection.mark), by=ANN)
    assert (done.done, done.next) == (2, None)
    assert set(stand.work()) == {"a", "c"}
    assert stand.letters.drop_all(selection, by=ANN).done == 0
    assert {letter.key for letter in stand.app.dead_letters.find()} == {"b", "d"}


def test_c36_in_steps(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(letter_operations, "STEP", 2)
    stand.put(*"abcde")
    stand.work(fail=True)
    selection, done = stand.letters.preview(ANY), []
    while selection is not None:
        outcome = stand.letters.drop_all(selection, by=ANN)
        done.append(outcome.done)
        selection = outcome.next
    assert done[:3] == [2, 2, 1]
    assert not stand.app.dead_letters.find()


def test_c36_a_canary_goes_on_beside_the_pages_and_stops_when_too_many_fail(stand: Stand) -> None:
    stand.put(*"abcdef")
    stand.work(fail=True)
    run = stand.letters.begin_canary(stand.letters.preview(ANY), by=ANN)
    canaries = stand.letters.canaries
    assert (run.end, run.previewed, canaries.all()[0].id) == (None, 6, run.id)
    until(lambda: stand.work(fail=True), "the first replay")
    until(lambda: canaries.get(run.id).end is not None, "the canary to end")
    ended = canaries.get(run.id)
    assert (ended.end, ended.replayed, ended.failed, ended.left) == ("failed", 1, 1, 5)
    assert len(stand.app.dead_letters.find()) == 6
    until(lambda: stand.audit()[-1].action == "letters.canary.end", "its end in the audit log")
    assert [one.action for one in stand.audit()] == ["letters.canary", "letters.canary.end"]


def test_c36_a_canary_replays_all_and_nothing_that_died_later(stand: Stand) -> None:
    stand.put("a", "b", "c")
    stand.work(fail=True)
    selection = stand.letters.preview(ANY)
    stand.put("later")
    stand.work(fail=True)
    run = stand.letters.begin_canary(selection, by=ANN)

    def over() -> bool:
        stand.work()
        return stand.letters.canaries.get(run.id).end is not None

    until(over, "the canary to end")
    assert stand.letters.canaries.get(run.id).end == "done"
    stand.work()
    assert [letter.key for letter in stand.app.dead_letters.find()] == ["later"]
    assert stand.states()["later"] is JobState.FAILED


@pytest.mark.parametrize("kept", [True, False])
def test_c36_whoever_takes_a_canary_over_replays_and_counts_each_letter_once(embedded: Stand, kept: bool) -> None:
    """A keeper dies after each step, with the step kept or a moment before."""
    app, keys = embedded.app, [f"j{number}" for number in range(30)]
    embedded.put(*keys)
    embedded.work(fail=True)
    history, letters = app.history, app.dead_letters
    first = CanaryKeeper(letters, history, app.engine.events.identity)
    run = CanaryRun(id="run", by="ann", where="all", previewed=30, began=1.0)
    plan = canary_plan(letters)
    CanaryBook(history.database).add(run, ANN, store=app.engine.events.identity(), plan=plan, runner=first.runner)
    ran: list[str] = []
    for turn in range(200):
        keeper = CanaryKeeper(letters, history, app.engine.events.identity)
        keeper.take_over(silent=-60.0)
        if keeper.is_idle:
            break
        keeper.step()
        if not kept:
            for held in keeper._held.values():
                held.walk.go_on()
        if turn % 2:
            # Else what was begun is still on its way when the next one looks.
            ran += embedded.work()
    ended = CanaryBook(history.database).get("run")
    assert ended is not None
    assert (ended.end, ended.replayed, ended.failed, ended.left) == ("done", 30, 0, 0)
    ran += embedded.work()
    assert sorted(ran) == sorted(keys)
    assert letters.find() == []
    assert [one.action for one in embedded.audit()] == ["letters.canary.end"]
    # Who was taken for dead keeps nothing any more.
    first.hold("run", ANN, plan)
    first.step()
    first.step()
    assert first.is_idle
    assert CanaryBook(history.database).get("run") == ended


def test_canaries_are_bounded_and_stopped(embedded: Stand) -> None:
    embedded.put(*"abc")
    embedded.work(fail=True)
    with pytest.raises(OperationError):
        embedded.letters.begin_canary(embedded.letters.preview(ANY), by=ANN, failure_rate=1.0)
    with pytest.raises(UnknownName):
        embedded.letters.canaries.stop("nobody", by=ANN)
    run = embedded.letters.begin_canary(embedded.letters.preview(ANY), by=ANN)
    until(lambda: embedded.take(), "the first replay")
    embedded.letters.canaries.stop(run.id, by=ANN)
    until(lambda: embedded.letters.canaries.get(run.id).end is not None, "the canary to end")
    ended = embedded.letters.canaries.get(run.id)
    assert (ended.end, ended.replayed, ended.succeeded, ended.failed) == ("stopped", 1, 0, 0)
    embedded.engine.close_lease()
    embedded.engine.open_lease("w1@here", ["celery"], 100)
    until(lambda: embedded.work(), "the first replay to end")
    assert len(embedded.app.dead_letters.find()) == 2
