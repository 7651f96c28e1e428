"""Jobs under limits."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from typing import Any

from tests.integration.worker.jobs import GATES, tell
from umbel import Concurrency, RateLimit, TokenBucket, Umbel, Unique
from umbel.engine.admission import Admission
from umbel.state.limits import Ask, Limits, Start

__all__ = ("app",)

app = Umbel("limited")
app.conf.task_routes = {"limited.routed.*": {"rate_limit": "3/d"}}
app.limits.queue("narrow", RateLimit("4/d"))
if os.environ.get("LIMITED_OFF"):
    app.conf.worker_disable_rate_limits = True


@app.task(name="limited.paced", limits=["50/s"])
def paced(word: str) -> str:
    tell("start", "paced", word)
    return word


@app.task(name="limited.hundred", limits=["100/s"])
def hundred(word: str) -> str:
    tell("start", "hundred", word)
    return word


@app.task(name="limited.paced_async", limits=[RateLimit("50/s", name="paced-async")])
async def paced_async(word: str) -> str:
    tell("start", "paced_async", word)
    await asyncio.sleep(0)
    return word


@app.task(name="limited.celerys", rate_limit="50/s")
def celerys(word: str) -> str:
    tell("start", "celerys", word)
    return word


@app.task(name="limited.bucket", limits=[TokenBucket("20/s", burst=20)])
def bucket(word: str) -> str:
    tell("start", "bucket", word)
    return word


@app.task(name="limited.few", limits=[Concurrency(2, key="name")])
def few(name: str, word: str = "") -> str:
    tell("enter", name, word)
    time.sleep(0.02)
    tell("leave", name, word)
    return word


@app.task(name="limited.few_async", limits=[Concurrency(2, key="name")])
async def few_async(name: str, word: str = "") -> str:
    tell("enter", name, word)
    await asyncio.sleep(0.02)
    tell("leave", name, word)
    return word


@app.task(name="limited.both", limits=[RateLimit("20/s"), Concurrency(2)])
def both(name: str, word: str) -> str:
    tell("enter", name, word)
    time.sleep(0.01)
    tell("leave", name, word)
    return word


@app.task(name="limited.one_at", limits=[Concurrency(1, for_="1s")])
def one_at(name: str) -> str:
    tell("enter", name)
    while not (GATES / name).exists():
        time.sleep(0.01)
    return name


@app.task(name="limited.daily", rate_limit="3/d")
def daily(word: str) -> str:
    tell("start", "daily", word)
    return word


@app.task(name="limited.user", limits=[RateLimit("1000/s", name="all-users"), RateLimit("2/d", key="user")])
def user(user: str, word: str) -> str:
    tell("start", user, word)
    return word


@app.task(name="limited.once", limits=["2/d"], unique=Unique(key="name"))
def once(name: str) -> str:
    tell("start", "once", name)
    return name


@app.task(name="limited.routed.one")
def routed_one(word: str) -> str:
    tell("start", "routed", word)
    return word


@app.task(name="limited.routed.two")
def routed_two(word: str) -> str:
    tell("start", "routed", word)
    return word


@app.task(name="limited.free")
def free(word: str) -> str:
    tell("start", "free", word)
    return word


class Telling:
    """Limits that tell what they answer."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._limits, name)

    def reserve(self, asks: Sequence[Ask]) -> list[Start]:
        starts = self._limits.reserve(asks)
        for ask, start in zip(asks, starts, strict=True):
            kind = "granted" if not start.wait else "put-off" if start.wait > 0.1 else "held"
            tell(kind, ask.owner, f"{start.at:.6f}", f"{start.lag:.6f}")
        return starts


def _told(init: Any) -> Any:
    def initialize(self: Any, *args: Any) -> None:
        init(self, *args)
        self._limits = Telling(self._limits)

    return initialize


if os.environ.get("LIMITED_TOLD"):
    Admission.__init__ = _told(Admission.__init__)  # type: ignore[method-assign]
