"""C26, C28: what a declared retry catches, and what it leaves alone; its declaration; eager mode."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, SoftTimeLimitExceeded, TaskRevokedError
from celery.exceptions import Retry as CeleryRetry

from umbel import Cancel, Fail, Retry, RetryLater, Snooze, Umbel
from umbel.errors import ConfigurationError
from umbel.jobs.outcomes import Cancel as CancelHome


class Busy(Exception):
    """The printer is busy."""


# -- what is caught -------------------------------------------------------------------------------------------------


def test_c26_on_and_never() -> None:
    retry = Retry(3, on=(OSError, Busy), never=FileNotFoundError)
    assert retry.catches(Busy())
    assert retry.catches(PermissionError())
    assert not retry.catches(FileNotFoundError())
    assert not retry.catches(KeyError())


def test_c26_a_function_may_decide() -> None:
    retry = Retry(3, on=lambda error: "busy" in str(error))
    assert retry.catches(ValueError("busy now"))
    assert not retry.catches(ValueError("wrong"))
    assert not Retry(3, never=lambda error: "wrong" in str(error)).catches(ValueError("wrong"))


def test_c26_by_default_any_exception() -> None:
    assert Retry(3).catches(KeyError())
    assert not Retry(3).catches(KeyboardInterrupt())


@pytest.mark.parametrize(
    "error",
    [
        CeleryRetry(),
        Ignore(),
        Reject(),
        SoftTimeLimitExceeded(),
        MemoryError(),
        Snooze(1),
        RetryLater(),
        Cancel(),
        Fail(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("on", [Exception, BaseException, lambda _: True], ids=["Exception", "BaseException", "any"])
def test_c28_never_caught_however_broad(error: Exception, on: Any) -> None:
    assert not Retry(3, on=on).catches(error)


def test_c28_a_soft_limit_that_somebody_below_has_wrapped() -> None:
    def wrapped(explicit: bool) -> Exception:
        try:
            try:
                raise SoftTimeLimitExceeded
            except Exception as limit:
                if explicit:
                    raise Busy from limit
                raise Busy  # noqa: B904
        except Busy as error:
            return error

    assert not Retry(3).catches(wrapped(True))
    assert not Retry(3).catches(wrapped(False))


def test_c26_a_group_is_caught_when_each_of_it_is() -> None:
    retry = Retry(3, on=(OSError, Busy))
    assert retry.catches(ExceptionGroup("both", [Busy(), OSError()]))
    assert not retry.catches(ExceptionGroup("one", [Busy(), KeyError()]))
    assert not Retry(3).catches(ExceptionGroup("one", [Busy(), ExceptionGroup("deep", [SoftTimeLimitExceeded()])]))


def test_c26_until_counts_from_the_first_dispatch() -> None:
    retry = Retry(None, until="1h", backoff="10s", jitter=False)
    old, new = time.time() - 3595, time.time() - 3500
    assert retry.pause(request(umbel_first=new), Busy()) == timedelta(seconds=10)
    assert retry.pause(request(umbel_first=old), Busy()) is None


def test_c26_until_a_moment() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    assert Retry(3, until=soon, backoff="10s", jitter=False).pause(request(), Busy()) is not None
    assert Retry(3, until=soon, backoff="2m", jitter=False).pause(request(), Busy()) is None


def test_c26_a_job_for_later_counts_from_when_it_was_due() -> None:
    due = datetime.now(UTC) - timedelta(seconds=10)
    sent = request(eta=due.isoformat(), properties={"umbel_since": time.time() - 7200})
    assert Retry(None, until="1h", backoff="10s").pause(sent, Busy()) is not None


def request(**headers: Any) -> Any:
    own = {name: headers.pop(name) for name in ("eta", "properties") if name in headers}
    return SimpleNamespace(**{"id": "x", "retries": 0, "eta": None, "properties": None, "headers": headers, **own})


# -- declaring ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Retry(-1),
        lambda: Retry(10_001),
        lambda: Retry(True),
        lambda: Retry("3"),  # type: ignore[arg-type]
        lambda: Retry(None),
        lambda: Retry(3, on=()),
        lambda: Retry(3, on="sometimes"),
        lambda: Retry(3, on=int),
        lambda: Retry(3, never=[1]),
        lambda: Retry(3, until="soon"),
        lambda: Retry(3, until=datetime(2026, 1, 1)),
        lambda: Retry(3, backoff="soon"),
    ],
)
def test_c26_what_makes_no_sense_is_refused_where_it_is_declared(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^Retry\("):
        wrong()


@pytest.mark.parametrize("value", ["3", True, 1.5, ValueError])
def test_c26_the_place_is_named(jobs: Umbel, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^Task shop\.send: retry="):

        @jobs.task(name="shop.send", retry=value, lazy=False)
        def send() -> None: ...


def test_c26_two_words_for_one_number_are_refused(jobs: Umbel) -> None:
    with pytest.raises(ConfigurationError, match=r"^Task shop\.send: max_retries=7"):

        @jobs.task(name="shop.send", retry=3, max_retries=7, lazy=False)
        def send() -> None: ...


def test_c26_by_hand_one_counts_up_to_the_same_number(jobs: Umbel) -> None:
    @jobs.task(retry=7)
    def send() -> None: ...

    assert send.max_retries == 7
    assert send.declared is not None
    assert send.declared.retry == Retry(7)
    assert callable(send.retry)


# -- eager ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def eager(jobs: Umbel) -> Umbel:
    jobs.conf.task_always_eager = True
    return jobs


def declare(app: Umbel, flavour: str, body: Any, **options: Any) -> Any:
    """Declare ``body`` as a task, ``def`` or ``async def``."""
    if flavour == "sync":
        return app.task(bind=True, name="body", **options)(body)

    async def twin(self: Any, *args: Any) -> Any:
        return body(self, *args)

    return app.task(bind=True, name="body", **options)(twin)


FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])


@FLAVOURS
@pytest.mark.parametrize("propagates", [False, True])
def test_c26_eager_tries_again_at_once(eager: Umbel, flavour: str, propagates: bool) -> None:
    eager.conf.task_eager_propagates = propagates
    seen: list[int] = []

    def body(self: Any, fails: int) -> str:
        seen.append(self.request.retries)
        if self.request.retries < fails:
            raise Busy
        return "done"

    task = declare(eager, flavour, body, retry=Retry(2, on=Busy, backoff="1h"))
    assert task.delay(2).get() == "done"
    assert seen == [0, 1, 2]
    with pytest.raises(Busy):
        task.delay(3).get()
    assert seen[3:] == [0, 1, 2]


@FLAVOURS
@pytest.mark.parametrize("declared", [{}, {"retry": 2}], ids=["plain", "declared"])
@pytest.mark.parametrize("how", ["raise", "return"])
def test_c26_eager_outcomes(eager: Umbel, flavour: str, declared: dict[str, Any], how: str) -> None:
    seen: list[int] = []

    def body(self: Any, word: str) -> Any:
        seen.append(self.request.retries)
        outcome = {
            "later": RetryLater(5) if self.request.retries < 2 else "done",
            "snooze": Snooze("1h") if len(seen) < 20 else "done",
            "cancel": Cancel("withdrawn"),
            "fail": Fail("no such order"),
        }[word]
        if how == "raise" and isinstance(outcome, Exception):
            raise outcome
        return outcome

    task = declare(eager, flavour, body, **declared)
    assert task.delay("later").get() == "done"
    assert seen == [0, 1, 2]
    seen.clear()
    assert task.delay("snooze").get() == "done"
    assert seen == [0] * 20
    seen.clear()
    cancelled = task.delay("cancel")
    assert cancelled.state == "REVOKED"
    with pytest.raises(TaskRevokedError, match="cancelled: withdrawn"):
        cancelled.get()
    failed = task.delay("fail")
    assert failed.state == "FAILURE"
    with pytest.raises(Fail, match="no such order"):
        failed.get()
    assert seen == [0, 0]


def test_c26_when_it_was_first_due_goes_along(eager: Umbel) -> None:
    """C26: what ``until`` counts from is the same for all tries."""
    seen: list[Any] = []

    def body(self: Any) -> Any:
        seen.append((self.request.headers or {}).get("umbel_first"))
        if len(seen) == 1:
            raise Busy
        return Snooze(1) if len(seen) == 2 else "done"

    began = time.time()
    assert declare(eager, "sync", body, retry=2).delay().get() == "done"
    assert seen[0] is None
    assert seen[1] == seen[2]
    assert began <= seen[1] <= time.time()


@FLAVOURS
def test_c26_eager_snooze_for_ever_ends_with_advice(eager: Umbel, flavour: str) -> None:
    def body(self: Any) -> Snooze:
        return Snooze("1s")

    with pytest.raises(RuntimeError, match="eager mode, where nothing is waited for"):
        declare(eager, flavour, body).delay().get()


@FLAVOURS
@pytest.mark.parametrize("declared", [{"max_retries": 1}, {"retry": 1}], ids=["plain", "declared"])
def test_c35_attempts_used_up_end_with_the_original(eager: Umbel, flavour: str, declared: dict[str, Any]) -> None:
    def body(self: Any, how: str) -> Any:
        try:
            raise Busy("paper")
        except Busy as error:
            if how == "from":
                raise RetryLater(1) from error
            if how == "within":
                raise RetryLater(1)  # noqa: B904
            raise RetryLater(1, "why not") from None

    task = declare(eager, flavour, body, **declared)
    for how in ("from", "within"):
        with pytest.raises(Busy, match="paper"):
            task.delay(how).get()
    with pytest.raises(MaxRetriesExceededError):
        task.delay("alone").get()


def test_c28_celerys_autoretry_leaves_outcomes_alone(eager: Umbel) -> None:
    seen: list[int] = []

    @eager.task(bind=True, autoretry_for=(Exception,), default_retry_delay=0)
    def body(self: Any) -> None:
        seen.append(self.request.retries)
        raise Fail

    with pytest.raises(Fail):
        body.delay().get()
    assert seen == [0]


@FLAVOURS
@pytest.mark.parametrize("declared", [{}, {"retry": 2}], ids=["plain", "declared"])
def test_c26_a_direct_call_is_no_job(jobs: Umbel, flavour: str, declared: dict[str, Any]) -> None:
    def body(self: Any, how: str) -> Any:
        if how == "busy":
            raise Busy
        if how == "raise":
            raise Snooze(1)
        return Snooze(1)

    task = declare(jobs, flavour, body, **declared)
    with pytest.raises(Busy):
        task("busy")
    with pytest.raises(Snooze):
        task("raise")
    assert isinstance(task("return"), Snooze)


@pytest.mark.parametrize(
    "outcome",
    [RetryLater(), RetryLater("5m"), RetryLater(reason="why"), Snooze(1, "why"), CancelHome("x"), Fail(), Fail("x")],
)
def test_c20_an_outcome_can_be_told_and_read_again(outcome: Any) -> None:
    """C20: by its arguments alone, as a result backend does it."""
    again = type(outcome)(*outcome.args)
    assert (again.args, vars(again)) == (outcome.args, vars(outcome))
    assert all(isinstance(one, str) for one in outcome.args)
