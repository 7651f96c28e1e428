"""C5, C14: wherever the store fails a dispatch, it fails as any other dispatch does, and in the end; nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chord, group
from kombu import pools
from kombu.exceptions import OperationalError

from umbel import Settings, Umbel, Unique
from umbel.engine.redis_store import RedisStore
from umbel.engine.sqlite_file import StoreFile
from umbel.errors import StoreUnreachable

#: Celery's policy, without its pauses.
QUICK = {"max_retries": 3, "interval_start": 0, "interval_step": 0, "interval_max": 0}


class Store:
    """Each question to a store, of whatever kind, goes through here, and may be lost."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lost: Callable[[int], bool] = lambda _: False
        self.asked = 0
        for kind, name in ((StoreFile, "turn"), (StoreFile, "read"), (RedisStore, "translated")):
            monkeypatch.setattr(kind, name, self._guarded(getattr(kind, name)))

    def _guarded(self, way: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def guarded(*args: Any) -> Iterator[Any]:
            self.asked += 1
            if self.lost(self.asked):
                raise StoreUnreachable("the store", "cut", unsure=False)
            with way(*args) as given:
                yield given

        return guarded

    def lose(self, which: Callable[[int], bool]) -> None:
        self.asked, self.lost = 0, which

    def count(self, call: Callable[[], object]) -> int:
        """Return how many questions a call asks, none of which is lost."""
        self.lose(lambda _: False)
        call()
        return self.asked


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    return Store(monkeypatch)


@pytest.fixture(params=["sqlite", "redis"])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    url: str = request.getfixturevalue("redis_url")
    return url


@pytest.fixture
def make(broker: str) -> Iterator[Callable[[], Umbel]]:
    """Make applications that have dispatched nothing yet."""
    made: list[Umbel] = []

    def make() -> Umbel:
        # Kombu keeps connections, with what has been declared on them, for whoever comes with the same URL.
        pools.reset()
        app = Umbel("shop", broker=broker, settings=Settings.load(dispatch_timeout="1m"), set_as_current=False)
        app.conf.task_publish_retry_policy = QUICK
        app.task(name="shop.work", shared=False)(_work)
        app.task(name="shop.once", shared=False, unique=Unique())(_once)
        made.append(app)
        return app

    yield make
    made[0].engine.close()
    for app in made:
        app.close()


def _work(number: int = 0) -> None: ...


def _once(number: int = 0) -> None: ...


WAYS: dict[str, Callable[[Umbel], Any]] = {
    "delay": lambda app: app.tasks["shop.work"].delay(1),
    "celery's way": lambda app: app.tasks["shop.work"].apply_async((1,), link=app.tasks["shop.work"].si(2)),
    "send_task": lambda app: app.send_task("another.service", (1,)),
    "enqueue_many": lambda app: list(app.tasks["shop.work"].enqueue_many(range(3))),
    "adelay": lambda app: asyncio.run(app.tasks["shop.work"].adelay(1)),
    "unique": lambda app: app.tasks["shop.once"].delay(1),
    "unique ones": lambda app: list(app.tasks["shop.once"].enqueue_many(range(3))),
    "group": lambda app: group([app.tasks["shop.work"].si(1), app.tasks["shop.work"].si(2)], app=app).apply_async(),
    "chord": lambda app: chord([app.tasks["shop.work"].si(1)], app=app)(app.tasks["shop.work"].si(2)),
}


@pytest.mark.parametrize("way", WAYS)
def test_c5_a_dispatch_fails_as_a_dispatch_at_whichever_question(
    make: Callable[[], Umbel], store: Store, way: str
) -> None:
    """The n-th question is lost, and all that follow, for each n; or only that one, as when a server hangs up."""
    make().engine.check()
    alone: list[int] = []
    for which in itertools.count(1):
        store.lose(lambda asked, which=which: asked >= which)  # type: ignore[misc]
        try:
            WAYS[way](make())
            break
        except OperationalError:
            # It has asked as often as the policy says, and not for ever.
            most = which + 2 * QUICK["max_retries"] + 2
        assert store.asked <= most
        store.lose(lambda asked, which=which: asked == which)  # type: ignore[misc]
        try:
            WAYS[way](make())
        except OperationalError:
            alone.append(which)
    assert which > 2, "it has asked the store"
    app = make()
    costs = [store.count(lambda: WAYS[way](app)) for _ in range(2)]
    # What is asked once, of the queue, is tried again. Writing has tries of its own, below of what is lost here.
    assert way == "chord" or all(which > costs[0] - costs[1] for which in alone), (alone, costs)


def test_c5_adding_to_a_batch_fails_as_a_dispatch(make: Callable[[], Umbel], store: Store) -> None:
    app = make()
    with app.batch("numbers") as batch:
        batch.add(app.tasks["shop.work"].s(1))
        store.lose(lambda _: True)
        for add in (
            lambda: batch.add(app.tasks["shop.work"].s(2)),
            lambda: batch.add_many(app.tasks["shop.work"], [3]),
        ):
            with pytest.raises(OperationalError, match="cut"):
                add()
        store.lose(lambda _: False)


def test_c5_a_dispatch_that_is_not_to_be_tried_again_fails_as_one(make: Callable[[], Umbel], store: Store) -> None:
    make().engine.check()
    app = make()
    app.conf.task_publish_retry = False
    asked = store.count(lambda: app.connection_for_write().ensure_connection())
    app = make()
    app.conf.task_publish_retry = False
    store.lose(lambda number: number > asked)
    with pytest.raises(OperationalError, match="cut"):
        app.tasks["shop.work"].delay(1)
    assert store.asked == asked + 1
