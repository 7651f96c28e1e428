"""C32: an effect by its key in any code, on each store."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.effects.bank import Bank
from tests.integration.worker.plant import until
from umbel import Done, Idempotent, NotDone, Settings, Umbel
from umbel.errors import ConfigurationError, EffectRunning, EffectUncertain, StoreUnreachable
from umbel.jobs.doubt import EffectPolicy
from umbel.jobs.keys import key_name
from umbel.state.effects import Claimant


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Umbel]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else f"sqlite:///{tmp_path}/jobs.db"
    made = Umbel("effects", broker=url, set_as_current=False)
    yield made
    made.engine.close()
    made.close()


class Gateway:
    """Counts what it was asked for."""

    def __init__(self) -> None:
        self.charges = 0

    def charge(self, amount: int = 1) -> dict[str, int]:
        self.charges += 1
        return {"amount": amount, "number": self.charges}

    async def acharge(self, amount: int = 1) -> dict[str, int]:
        await asyncio.sleep(0)
        return self.charge(amount)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def interrupt(app: Umbel, key: str) -> None:
    """Leave an effect as a process does that dies."""
    effect = app.idempotent(key)
    effect.__enter__()
    app.effect_desk.keeper.let_go(effect)
    assert app.engine.effects.doubt(effect.name, effect._token)


def fail(app: Umbel, error: BaseException, **options: Any) -> None:
    """Begin to cause an effect, and raise."""
    with app.idempotent("a", **options) as effect:
        assert not effect.done
        raise error


def test_c32_it_is_caused_once_and_its_result_is_everybodys(app: Umbel, gateway: Gateway) -> None:
    results = [app.idempotent("a").call(gateway.charge, amount) for amount in (3, 4)]
    results.append(asyncio.run(app.idempotent("a").acall(gateway.acharge, 5)))
    assert results == [{"amount": 3, "number": 1}] * 3
    assert app.idempotent("b").call(gateway.charge)["number"] == 2
    with app.idempotent("c") as effect:
        assert (effect.done, effect.key) == (False, "c")
        effect.result = "x"
    with app.idempotent("c") as effect:
        assert (effect.done, effect.result) == (True, "x")


def test_c32_a_failed_one_gives_its_key_back(app: Umbel, gateway: Gateway) -> None:
    with pytest.raises(ZeroDivisionError):
        fail(app, ZeroDivisionError())
    assert app.idempotent("a").call(gateway.charge)["number"] == 1


def test_c32_what_is_said_to_be_there_stays_so(app: Umbel) -> None:
    def fail_late() -> None:
        with app.idempotent("a") as effect:
            effect.complete("there")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_late()
    assert app.idempotent("a").call(lambda: "again") == "there"


def test_c32_another_one_is_told_or_waits(app: Umbel, gateway: Gateway) -> None:
    inside, go = threading.Event(), threading.Event()

    def slow() -> dict[str, int]:
        inside.set()
        assert go.wait(60)
        return gateway.charge()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(app.idempotent("a").call, slow)
        assert inside.wait(60)
        with pytest.raises(EffectRunning, match="'named:a'") as caught, app.idempotent("a"):
            raise AssertionError
        assert 0 < caught.value.seconds <= 30
        second = threads.submit(app.idempotent("a", wait="60s").call, gateway.charge)
        go.set()
        assert first.result() == second.result() == {"amount": 1, "number": 1}


@pytest.mark.parametrize(
    ("error", "held"),
    [
        (httpx.ReadTimeout("silence", request=httpx.Request("POST", "https://bank.example")), True),
        (httpx.ConnectError("refused", request=httpx.Request("POST", "https://bank.example")), False),
        (httpx.ReadTimeout("silence", request=httpx.Request("GET", "https://bank.example")), False),
        (KeyboardInterrupt(), True),
        (LookupError("named"), True),
        (ValueError("nothing was done"), False),
    ],
    ids=str,
)
def test_c32_after_some_errors_it_may_be_there(app: Umbel, error: BaseException, held: bool) -> None:
    with pytest.raises(type(error)):
        fail(app, error, unsure=LookupError)
    if held:
        with pytest.raises(EffectUncertain, match="umbel effects resolve"), app.idempotent("a"):
            raise AssertionError
        assert [one.name for one in app.effects.uncertain()] == ["named:a"]
    else:
        assert app.idempotent("a").call(lambda: 1) == 1


def test_c32_the_cause_of_an_error_counts_unless_it_is_left_out() -> None:
    lost, policy = httpx.ReadTimeout("silence", request=httpx.Request("POST", "https://bank.example")), EffectPolicy()
    caused, handling, known = ValueError(), ValueError(), ValueError()
    caused.__cause__ = handling.__context__ = known.__context__ = lost
    known.__suppress_context__ = True
    assert [policy.doubts(error) for error in (lost, caused, handling, known)] == [True, True, True, False]
    assert not EffectPolicy(uncertain="repeat").doubts(lost)
    # What httpx makes of an error of the socket counts, and not that.
    refused = httpx.ConnectError("refused", request=lost.request)
    refused.__cause__ = TimeoutError()
    assert not policy.doubts(refused)
    assert policy.doubts(refused.__cause__)


@pytest.mark.parametrize("is_async", [False, True])
def test_c32_the_other_side_is_asked(app: Umbel, gateway: Gateway, is_async: bool) -> None:
    asked: list[str] = []

    def call(answer: Any) -> Any:
        def ask(key: str) -> Any:
            asked.append(key)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def aask(key: str) -> Any:
            return ask(key)

        if is_async:
            return asyncio.run(app.idempotent("a", ask=aask).acall(gateway.acharge))
        return app.idempotent("a", ask=ask).call(gateway.charge)

    interrupt(app, "a")
    with pytest.raises(EffectUncertain):
        call(None)
    with pytest.raises(OSError, match="away"):
        call(OSError("away"))
    with pytest.raises(ConfigurationError, match="NotDone"):
        call("yes")
    assert len(app.effects.uncertain()) == 1, "it stays uncertain"
    assert call(NotDone()) == {"amount": 1, "number": 1}
    assert call(None) == {"amount": 1, "number": 1}, "nobody is asked of what is known"
    assert asked == ["a"] * 4
    interrupt(app, "b")
    assert app.idempotent("b", ask=lambda _: Done({"amount": 7})).call(gateway.charge) == {"amount": 7}
    assert gateway.charges == 1


def test_c32_a_person_decides(app: Umbel) -> None:
    for key in "ab":
        interrupt(app, key)
    assert app.effects.is_done("named:a", [1, 2])
    assert app.effects.is_not_done("named:b")
    assert app.idempotent("a").call(lambda: 3) == [1, 2]
    assert app.idempotent("b").call(lambda: 3) == 3
    assert not app.effects.is_not_done("named:a")


def test_c32_a_coroutine_says_so_without_blocking(app: Umbel) -> None:
    async def work() -> None:
        async with app.idempotent("a", begun=False) as effect:
            assert not effect.done
            await effect.abegin()
            await effect.acomplete("there")
        interrupt(app, "b")
        repeating = app.idempotent("b", uncertain="repeat", ask=lambda _: None)
        assert await repeating.acall(asyncio.sleep, 0, "again") == "again"

    asyncio.run(work())
    assert app.idempotent("a").call(lambda: "again") == "there"


@pytest.mark.parametrize("key", ["", "x" * 501, 7])
def test_c32_a_key_is_a_short_text(app: Umbel, key: Any) -> None:
    with pytest.raises(ConfigurationError, match="text of 1 to 500"):
        app.idempotent(key)


def test_c32_it_is_repeated_where_that_is_declared(app: Umbel, gateway: Gateway) -> None:
    interrupt(app, "a")
    assert app.idempotent("a", uncertain="repeat").call(gateway.charge)["number"] == 1


def test_c32_what_has_not_begun_does_no_harm(app: Umbel) -> None:
    effect = app.idempotent("a", begun=False, lease="1s")
    effect.__enter__()
    app.effect_desk.keeper.let_go(effect)
    assert app.idempotent("a", wait="60s").call(lambda: 1) == 1
    with pytest.raises(EffectRunning):
        effect.begin()


def test_c32_a_claim_is_renewed_for_as_long_as_it_takes(app: Umbel) -> None:
    with app.idempotent("a", lease="1s") as effect:
        assert not effect.done
        ends = {effect._until}

        def renewed() -> bool:
            ends.add(effect._until)
            return len(ends) > 4

        until(renewed, "renewals beyond the first lease")
        assert not effect.lost
        with pytest.raises(EffectRunning), app.idempotent("a"):
            raise AssertionError


def test_c32_a_block_that_does_not_look_is_told(app: Umbel) -> None:
    with pytest.raises(ConfigurationError, match="if not effect.done"), app.idempotent("a"):
        pass


def test_c32_a_cancelled_task_leaves_it_uncertain_or_gives_it_back(app: Umbel) -> None:
    async def hold(key: str, inside: asyncio.Event) -> None:
        async with app.idempotent(key, wait="60s") as effect:
            assert not effect.done
            inside.set()
            await asyncio.Event().wait()

    async def work() -> None:
        inside = asyncio.Event()
        first = asyncio.create_task(hold("a", inside))
        async with asyncio.timeout(60):
            await inside.wait()
        # It waits at the door, and has begun nothing.
        second = asyncio.create_task(hold("a", asyncio.Event()))
        await asyncio.sleep(0.05)
        for task in (second, first):
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(work())
    assert [one.name for one in app.effects.uncertain()] == ["named:a"]


def test_c32_a_lost_answer_is_asked_for_again(app: Umbel, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    effects = type(app.engine.effects)
    lost = {"claim": 1, "complete": 2}

    def losing(name: str) -> Callable[..., Any]:
        real = getattr(effects, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            found = real(*args, **kwargs)
            if lost[name]:
                lost[name] -= 1
                raise StoreUnreachable("the store", "its answer was lost")
            return found

        return call

    for name in lost:
        monkeypatch.setattr(effects, name, losing(name))
    assert app.idempotent("a").call(gateway.charge)["number"] == 1
    assert app.idempotent("a").call(gateway.charge)["number"] == 1
    assert lost == {"claim": 0, "complete": 0}


def test_c32_what_cannot_be_kept_is_said(app: Umbel, caplog: pytest.LogCaptureFixture) -> None:
    for key, result in (("a", object()), ("b", "x" * 300_000)):
        assert app.idempotent(key).call(lambda result=result: result) is result
        assert app.idempotent(key).call(lambda: 1) is None
    assert caplog.text.count("is not kept") == 2


def test_c32_results_are_encrypted_where_payloads_are(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    key = "one:" + "k" * 42 + "A="
    settings = Settings(payload_protection="encrypt", payload_keys=key)  # type: ignore[arg-type]
    app = Umbel("effects", broker=f"sqlite:///{tmp_path}/jobs.db", settings=settings, set_as_current=False)
    assert app.idempotent("a").call(lambda: "the secret") == "the secret"
    assert app.idempotent("a").call(lambda: "another") == "the secret"
    app.engine.close()
    app.close()
    assert not any(b"the secret" in file.read_bytes() for file in tmp_path.glob("jobs.db*") if file.is_file())


def test_c32_of_fifty_threads_one_causes_it(app: Umbel, gateway: Gateway) -> None:
    with ThreadPoolExecutor(50) as threads:
        calls = [threads.submit(app.idempotent("a", wait="60s").call, gateway.charge) for _ in range(50)]
        assert {call.result()["number"] for call in calls} == {1}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"for_": 0}, "too short"),
        ({"for_": "soon"}, "for_"),
        ({"lease": "10ms"}, "too short"),
        ({"uncertain": "maybe"}, "'hold' or 'repeat'"),
        ({"ask": "me"}, "no function"),
        ({"unsure": "OSError"}, "no exception class"),
        ({"transaction": True, "ask": print}, "never uncertain"),
    ],
)
def test_c32_what_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Idempotent(**options)


def test_c32_whoever_waits_for_the_job_reads_what_to_do(bank: Bank) -> None:
    label = ("x",)
    name = f"task:{key_name(bank.tasks['hold'], 'label', label, {})}"
    bank.jobs.engine.effects.claim(name, Claimant("1", "earlier", "token"), 60)
    state, error = bank.work("hold", "1", *label)
    assert (state, error.name) == ("FAILURE", name)
    with pytest.raises(EffectUncertain) as caught:
        bank.jobs.AsyncResult("1").get(timeout=60)
    assert str(caught.value) == str(error)
