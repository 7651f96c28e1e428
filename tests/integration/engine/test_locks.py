"""C31: a lock by name, in a process that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.worker.plant import until
from umbel import Umbel
from umbel.errors import LockTaken, StoreUnreachable


@pytest.fixture(params=["sqlite", "redis"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Umbel]:
    url = request.getfixturevalue("redis_url") if request.param == "redis" else f"sqlite:///{tmp_path}/jobs.db"
    made = Umbel("locks", broker=url, set_as_current=False)
    yield made
    made.engine.close()
    made.close()


def test_c31_one_block_at_a_time_and_the_other_is_told(app: Umbel) -> None:
    with app.lock("rates") as first:
        assert first.fence > 0
        assert not first.lost
        with pytest.raises(LockTaken, match="'rates'") as caught, app.lock("rates"):
            raise AssertionError
        assert 0 < caught.value.seconds <= 30
        with app.lock("others"):
            pass
    assert (first.fence, first.lost) == (0, True)
    with app.lock("rates") as second:
        assert second.fence


def test_c31_who_waits_gets_it(app: Umbel) -> None:
    async def both() -> list[str]:
        told: list[str] = []
        inside = asyncio.Event()

        async def first() -> None:
            async with app.lock("rates"):
                inside.set()
                await asyncio.sleep(0.02)
                told.append("first")

        async def second() -> None:
            await inside.wait()
            async with app.lock("rates", wait="30s") as lock:
                told.append("second")
                assert lock.fence

        await asyncio.gather(first(), second())
        return told

    assert asyncio.run(both()) == ["first", "second"]


def test_c31_a_lock_is_renewed_and_nobody_else_gets_it(app: Umbel) -> None:
    with app.lock("rates", for_="300ms") as lock:
        ends = {lock._until}

        def renewed() -> bool:
            ends.add(lock._until)
            return len(ends) > 3

        until(renewed, "three renewals")
        assert not lock.lost
        with pytest.raises(LockTaken), app.lock("rates"):
            raise AssertionError


def test_c31_a_process_that_is_cut_off_knows_that_it_has_lost_it(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise StoreUnreachable("the store", "cut")

    with app.lock("rates", for_="200ms") as lock:
        assert not lock.lost
        monkeypatch.setattr(type(app.engine.locks), "renew", away)
        until(lambda: lock.lost, "it has not been renewed for long enough")


def test_c31_locks_are_renewed_on_after_an_error_that_nobody_foresaw(
    app: Umbel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread that renews all of a process's locks survives it."""
    kind = type(app.engine.locks)
    renew, failures = kind.renew, iter([RuntimeError("unforeseen")])

    def sometimes(*arguments: Any) -> Any:
        for failure in failures:
            raise failure
        return renew(*arguments)

    with app.lock("rates", for_="2s") as lock:
        before = lock._until
        monkeypatch.setattr(kind, "renew", sometimes)
        until(lambda: "could not be renewed" in caplog.text, "the error is told")
        assert "unforeseen" in caplog.text
        until(lambda: lock._until > before, "it is renewed all the same")
        assert not lock.lost


def test_c31_a_lock_that_another_one_has_got_is_not_released(app: Umbel) -> None:
    with app.lock("rates", for_="1h") as lock:
        assert app.engine.locks.release("named:rates", lock.fence), "an operator has"
        other = app.engine.locks.acquire("named:rates", "another", 3600)
        assert app.keeper.store().renew([("named:rates", lock.fence)], 60) == [False]
    holder = app.engine.locks.holder("named:rates")
    assert holder is not None
    assert holder.fence == other.fence


@pytest.mark.parametrize("span", [0, "soon"])
def test_c31_what_is_no_duration_is_refused(app: Umbel, span: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        app.lock("rates", for_=span)
