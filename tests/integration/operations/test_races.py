"""Two people at a time: what both want happens once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.integration.operations.stand import ANN, Stand, failed, waiting
from umbel import JobState
from umbel.engine.letters import LetterFilter
from umbel.monitor.actors import Actor, Role

BOB = Actor("bob", Role.OPERATOR, "token")
NUMBER = 30


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Call all of them at the same time, and return what each has returned."""
    start, found = threading.Barrier(len(calls)), [None] * len(calls)
    problems: list[BaseException] = []

    def run(place: int, call: Callable[[], Any]) -> None:
        start.wait()
        try:
            found[place] = call()
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not problems, problems
    return found


def test_c36_two_operators_retry_all_and_each_job_runs_once(stand: Stand) -> None:
    ids = [f"j{number}" for number in range(NUMBER)]
    stand.put(*ids)
    stand.work(fail=True)
    first, second = stand.jobs.preview(failed()), stand.jobs.preview(failed())
    letters = stand.letters.preview(LetterFilter())
    outcomes = together(
        lambda: stand.jobs.retry_all(first, by=ANN),
        lambda: stand.jobs.retry_all(second, by=BOB),
        lambda: stand.letters.replay_all(letters, by=BOB),
    )
    assert sum(one.done for one in outcomes) == NUMBER
    assert Counter(stand.work()) == Counter(ids)
    assert len(stand.audit()) == 3


def test_c22_a_job_is_cancelled_or_runs_whoever_is_first(stand: Stand) -> None:
    ids = [f"j{number}" for number in range(NUMBER)]
    stand.put(*ids)
    selection = stand.jobs.preview(waiting())
    ran: list[str] = []

    def work() -> None:
        for delivery in stand.take(NUMBER // 2):
            if delivery.cancelled:
                stand.drop(delivery)
            else:
                stand.end(delivery)
                ran.append(str(delivery.task_id))

    done, again, _ = together(
        lambda: stand.jobs.cancel_all(selection, by=ANN), lambda: stand.jobs.cancel_all(selection, by=BOB), work
    )
    assert done.failed == again.failed == 0
    ran += stand.work()
    assert len(ran) == len(set(ran))
    # What had begun when it was cancelled may have come to its end; what had not has never begun.
    ends = {one: stand.app.status(one).state for one in ids}
    assert set(ends.values()) <= {JobState.CANCELLED, JobState.SUCCEEDED}
    assert {one for one, state in ends.items() if state is JobState.SUCCEEDED} <= set(ran)


def test_two_delete_all_and_each_job_goes_once(stand: Stand) -> None:
    ids = [f"j{number}" for number in range(NUMBER)]
    stand.put(*ids)
    stand.work(fail=True)
    first, second = stand.jobs.preview(failed()), stand.jobs.preview(failed())
    outcomes = together(lambda: stand.jobs.delete_all(first, by=ANN), lambda: stand.jobs.delete_all(second, by=BOB))
    assert sum(one.done for one in outcomes) == NUMBER
    assert not stand.states()
    assert not stand.app.dead_letters.find()


def test_two_rerun_what_one_previewed_and_each_new_job_runs_once(stand: Stand) -> None:
    ids = [f"j{number}" for number in range(NUMBER)]
    stand.put(*ids)
    stand.work(fail=True)
    selection = stand.jobs.preview(failed())
    together(lambda: stand.jobs.rerun_all(selection, by=ANN), lambda: stand.jobs.rerun_all(selection, by=BOB))
    ran = stand.work()
    assert len(ran) == len(set(ran)) == NUMBER
