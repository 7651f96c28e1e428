"""C26, C28, C35: declared retries and outcomes in real workers, in every pool, on every path, ``def`` and ``async``."""

from __future__ import annotations

import pytest
from celery.exceptions import MaxRetriesExceededError, SoftTimeLimitExceeded, TaskRevokedError

from tests.acceptance.retries.conftest import Site
from tests.acceptance.retries.faults import Busy
from tests.integration.clients.http_side import http_side
from tests.integration.worker.plant import DEADLINE, until
from umbel import Fail, JobState

#: A task that declares nothing, one that does, and one with Celery's own form.
TASKS = pytest.mark.parametrize(
    ("task", "how"), [("outcome", "return"), ("declared_outcome", "raise"), ("autoretried_outcome", "raise")]
)


def settled(site: Site) -> None:
    """Wait until nothing waits or runs: whatever was published twice has run by then."""
    until(site.plant.empty, f"nothing is left; {site.plant.logs()}")


def failure(result: object) -> BaseException:
    error = result.get(timeout=DEADLINE, propagate=False)  # type: ignore[attr-defined]
    assert isinstance(error, BaseException)
    return error


def test_p9_jobs_go_the_way_that_is_meant(site: Site) -> None:
    """P9: a declaration keeps nobody off the short path."""
    expected = {"short": "PlainRequest", "celery": "Request", "prefork": "prefork"}[site.way]
    for task in ("way", "declared_way"):
        found = site.send(task).get(timeout=DEADLINE)
        assert found == expected or (expected == "Request" and found != "PlainRequest")


def test_c26_what_passes_is_tried_again(site: Site, key: str) -> None:
    assert site.send("busy", key, 2).get(timeout=DEADLINE) == "done"
    settled(site)
    assert site.tries(key) == [0, 1, 2]


def test_c35_used_up_it_fails_with_the_exception_itself(site: Site, key: str) -> None:
    result = site.send("busy", key, 9, link_error=site.signature("errback"))
    error = failure(result)
    assert (type(error), str(error)) == (Busy, "try 2")
    settled(site)
    assert site.tries(key) == [0, 1, 2]
    status = site.plant.app.status(result.id)
    assert (status.state, status.retries) == (JobState.FAILED, 2)
    assert site.told(result.id).count("errback") == 1


def test_c26_what_is_not_named_fails_at_once(site: Site, key: str) -> None:
    assert isinstance(failure(site.send("mistaken", key)), KeyError)
    settled(site)
    assert site.tries(key) == [0]


@pytest.mark.parametrize(("word", "tries"), [("ignore", [0]), ("reject", [0]), ("retry", [0, 1, 2])])
def test_c28_celerys_own_words_pass(site: Site, key: str, word: str, tries: list[int]) -> None:
    """C28: and a retry by hand is one decision, which publishes one message."""
    site.send("celerys_own", key, word)
    site.plant.until_told(key, "try", times=len(tries))
    settled(site)
    assert site.tries(key) == tries


def test_c28_one_decision_publishes_one_message(site: Site, key: str) -> None:
    """C28: a try that has ordered the next one and then fails has not ordered two."""
    site.send("quietly", key)
    site.plant.until_told(key, "try", times=2)
    settled(site)
    assert site.tries(key) == [0, 1]


@pytest.mark.parametrize("how", ["plain", "wrapped"])
def test_c28_a_soft_limit_ends_the_job(site: Site, key: str, how: str) -> None:
    error = failure(site.send("too_long", key, how))
    assert isinstance(error, SoftTimeLimitExceeded if how == "plain" else Busy)
    settled(site)
    assert site.tries(key) == [0]


@pytest.mark.parametrize("running", ["sqlite-short"], indirect=True)
def test_c28_a_soft_limit_that_the_body_forgot_ends_the_job(site: Site, key: str) -> None:
    """C28: its time is up, whatever it fails with in the end; in the pool that knows of it."""
    assert isinstance(failure(site.send("too_long", key, "forgotten")), Busy)
    settled(site)
    assert site.tries(key) == [0]


@pytest.mark.parametrize("running", ["sqlite-short", "redis-short"], indirect=True)
def test_c27_a_server_that_says_when_is_believed(site: Site, key: str) -> None:
    """C27: ``Retry-After`` of a real answer, the pause on top of it."""
    with http_side() as server:
        result = site.send("polite", key, server.url("/status/503?after=3600"))
        until(lambda: site.plant.state(result.id) is JobState.RETRYING, f"it waits; {site.plant.logs()}")
    status = site.plant.app.status(result.id)
    (told,) = site.plant.lines(key, "try")
    assert status.due is not None
    assert 3600 <= status.due - told.at <= 3600 + DEADLINE
    site.plant.app.cancel(result.id)


def test_c28_a_cancel_ends_the_job(site: Site, key: str) -> None:
    result = site.send("held", key)
    site.plant.until_told(key, "held")
    site.plant.app.cancel(result.id)
    assert site.plant.ended(result.id).state is JobState.CANCELLED
    settled(site)
    assert site.told(key).count("held") == 1
    assert site.plant.state(result.id) is JobState.CANCELLED


def test_c26_until_gives_up_in_time(site: Site, key: str) -> None:
    """C26: no number of times; the next try would come too late."""
    assert isinstance(failure(site.send("until", key)), Busy)
    settled(site)
    assert site.tries(key) == [0, 1, 2]


# -- outcomes -------------------------------------------------------------------------------------------------------


@TASKS
def test_c26_retry_later_uses_an_attempt(site: Site, key: str, task: str, how: str) -> None:
    assert site.send(task, key, "later", 2, how).get(timeout=DEADLINE) == "done"
    settled(site)
    assert site.tries(key) == [0, 1, 2]


def test_c35_retry_later_used_up_fails_with_what_it_was_raised_from(site: Site, key: str) -> None:
    error = failure(site.send("used_up", key))
    assert (type(error), str(error)) == (Busy, "the cause")
    settled(site)
    assert site.tries(key) == [0, 1]


def test_c35_retry_later_of_its_own_accord_is_used_up_too(site: Site, key: str) -> None:
    assert isinstance(failure(site.send("declared_outcome", key, "later", 99, "return")), MaxRetriesExceededError)
    settled(site)
    assert site.tries(key) == [0, 1, 2, 3]


@TASKS
def test_c28_a_snooze_uses_no_attempt(site: Site, key: str, task: str, how: str) -> None:
    result = site.send(task, key, "snooze", 8, how, link=site.signature("told", key, "linked"))
    assert result.get(timeout=DEADLINE) == "done"
    site.plant.until_told(key, "linked")
    settled(site)
    assert site.tries(key) == [0] * 9
    assert site.told(key) == ["linked"]
    status = site.plant.app.status(result.id)
    assert (status.state, status.retries) == (JobState.SUCCEEDED, 0)


@pytest.mark.parametrize("running", ["sqlite-short"], indirect=True)
def test_c28_not_even_a_thousand_snoozes_do(site: Site, key: str) -> None:
    result = site.send("outcome", key, "snooze", 1000, "return")
    assert result.get(timeout=2 * DEADLINE) == "done"
    assert site.tries(key) == [0] * 1001
    assert site.plant.app.status(result.id).retries == 0


def test_c28_a_snooze_of_a_dispatch_that_is_not_to_be_repeated(site: Site, key: str) -> None:
    """C6, C28: its message has the job's id, and is not taken for a repeated dispatch."""
    result = site.send("outcome", key, "snooze", 3, "return", headers={"umbel_once": True})
    assert result.get(timeout=DEADLINE) == "done"
    assert site.tries(key) == [0] * 4


def test_c20_a_job_that_is_put_off_is_scheduled(site: Site, key: str) -> None:
    """C20: not retrying, for nothing has failed; and it can be cancelled where it waits."""
    result = site.send("outcome", key, "nap", 0, "return")
    until(lambda: site.plant.state(result.id) is JobState.SCHEDULED, f"it is scheduled; {site.plant.logs()}")
    status = site.plant.app.status(result.id)
    assert status.due is not None
    assert (status.retries, status.error, status.celery_state) == (0, None, "RETRY")
    site.plant.app.cancel(result.id)
    settled(site)
    assert site.plant.state(result.id) is JobState.CANCELLED
    assert site.tries(key) == [0]


@TASKS
def test_c22_a_job_cancels_itself(site: Site, key: str, task: str, how: str) -> None:
    """C22: with the signal of a cancel, and nothing that follows a success or a failure."""
    result = site.send(
        task, key, "cancel", 0, how, link=site.signature("told", key, "linked"), link_error=site.signature("errback")
    )
    status = site.plant.ended(result.id)
    assert (status.state, status.error) == (JobState.CANCELLED, "TaskRevokedError: cancelled: withdrawn")
    with pytest.raises(TaskRevokedError):
        result.get(timeout=DEADLINE)
    site.plant.until_told(result.id, "task_revoked")
    settled(site)
    assert site.tries(key) == [0]
    assert site.told(key) == []
    assert site.told(result.id) == ["task_revoked"]


@TASKS
def test_c35_a_job_fails_for_good(site: Site, key: str, task: str, how: str) -> None:
    """C35: whatever attempts are left."""
    result = site.send(task, key, "fail", 0, how)
    error = failure(result)
    assert isinstance(error, Fail)
    assert str(error) == "no such order"
    settled(site)
    assert site.tries(key) == [0]
    assert site.plant.state(result.id) is JobState.FAILED


@pytest.mark.parametrize("running", ["sqlite-celery", "sqlite-prefork"], indirect=True)
def test_c23_signals_tell_each_try_once(site: Site, key: str) -> None:
    """C23: where somebody listens, which keeps jobs off the short path."""
    result = site.send("busy", key, 9)
    failure(result)
    site.plant.until_told(result.id, "task_failure")
    settled(site)
    assert sorted(site.told(result.id)) == ["task_failure", "task_retry", "task_retry"]


def test_c26_a_batch_of_them(site: Site, key: str) -> None:
    """C26, C18: many at once, each tried as often as it needs and not once more."""
    results = [site.send("busy", f"{key}-{number}", number % 3) for number in range(60)]
    assert [result.get(timeout=DEADLINE) for result in results] == ["done"] * 60
    settled(site)
    assert [site.tries(f"{key}-{number}") for number in range(60)] == [list(range(n % 3 + 1)) for n in range(60)]
