"""Jobs that declare something, in a worker that tells of each question to its store."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Final

from tests.integration.worker.jobs import tell
from umbel import Breaker, Concurrency, Idempotent, RateLimit, Snooze, Umbel, WithoutOverlap
from umbel.engine.redis import RedisEngine
from umbel.engine.redis_breakers import RedisBreakers
from umbel.engine.redis_effects import RedisEffects
from umbel.engine.redis_limits import RedisLimits
from umbel.engine.redis_locks import RedisLocks
from umbel.engine.redis_slots import RedisSlots
from umbel.engine.sqlite import SQLiteEngine
from umbel.engine.sqlite_breakers import BreakerTable
from umbel.engine.sqlite_effects import EffectTable
from umbel.engine.sqlite_limits import LimitTable
from umbel.engine.sqlite_locks import LockTable
from umbel.engine.sqlite_slots import SlotTable

__all__ = ("app",)

_ASKED: Final = {
    "lock": (LockTable, RedisLocks),
    "slot": (SlotTable, RedisSlots),
    "breaker": (BreakerTable, RedisBreakers),
    "effect": (EffectTable, RedisEffects),
    "limit": (LimitTable, RedisLimits),
}
#: What is asked now and then, whatever the jobs are.
_SELDOM: Final = ("sweep", "changes")

app = Umbel("counted")


@app.task(name="counted.lock", overlap=WithoutOverlap(key="number"))
def lock(number: int) -> int:
    return number


@app.task(name="counted.slot", limits=[Concurrency(1, key="number")])
def slot(number: int) -> int:
    return number


@app.task(name="counted.breaker", breaker=Breaker())
def breaker(number: int) -> int:
    return number


@app.task(name="counted.effect", idempotent=Idempotent(key="number"))
def effect(number: int) -> int:
    tell("effect", number)
    return number


@app.task(name="counted.repeat", idempotent=Idempotent(key="number", uncertain="repeat"))
def repeat(number: int) -> int:
    tell("repeat", number)
    return number


@app.task(
    name="counted.all",
    overlap=WithoutOverlap(key="number"),
    limits=[Concurrency(1, key="number"), RateLimit("100000/s")],
    breaker=Breaker(),
)
async def everything(number: int) -> int:
    return number


def _told(kind: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def telling(*args: Any, **kwargs: Any) -> Any:
        found = method(*args, **kwargs)
        if kind != "batch" or found:
            tell("asked", kind, name, threading.current_thread().name)
        return found

    return telling


def _tell_of(kind: str, cls: type, *names: str) -> None:
    for name in names:
        setattr(cls, name, _told(kind, name, getattr(cls, name)))


for _kind, _classes in _ASKED.items():
    for _cls in _classes:
        _tell_of(_kind, _cls, *(name for name in vars(_cls) if not name.startswith("_") and name not in _SELDOM))
for _engine in (SQLiteEngine, RedisEngine):
    _tell_of("batch", _engine, "fetch")
    _tell_of("flush", _engine, "settle")
_tell_of("put-off", Snooze, "conclude")
