"""Dramatiq on Redis, results stored."""

import os
import time
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitsBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.inside import tally

__all__ = ["broker", "dispatch", "fill", "fill_naps", "nap", "noop", "send_stamp", "settled", "stamp", "versions"]

_URL = os.environ["BENCH_URL"]

broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL)))
dramatiq.set_broker(broker)

_client = redis.Redis.from_url(_URL)


#: Which of its limiters, or its results alone, is measured.
_DECLARED = os.environ.get("BENCH_DECLARE", "results")
_limits = LimitsBackend(client=_client)


def _limiter(number: int) -> AbstractContextManager[object]:
    if _DECLARED == "concurrent":
        return ConcurrentRateLimiter(_limits, f"noop-{number}", limit=1).acquire()
    if _DECLARED == "window":
        return WindowRateLimiter(_limits, "noop", limit=1_000_000, window=60).acquire()
    return nullcontext()


@dramatiq.actor(store_results=_DECLARED == "results")
def noop(number: int) -> int:
    """Do nothing."""
    with _limiter(number):
        tally.done()
    return number


@dramatiq.actor(store_results=True)
def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@dramatiq.actor(store_results=True)
def nap(number: int) -> int:
    """Wait in a thread."""
    time.sleep(tally.NAP)
    tally.done()
    return number


def dispatch(number: int) -> object:
    return noop.send(number)


def fill(count: int, delay: float | None) -> None:
    for number in range(count):
        noop.send(number) if delay is None else noop.send_with_options(args=(number,), delay=int(delay * 1000))


def fill_naps(count: int, how: str) -> None:
    for number in range(count):
        nap.send(number)


def send_stamp(sent: float) -> object:
    return stamp.send(sent)


def settled(count: int) -> bool:
    """A message leaves this hash when it is acknowledged, which comes after its result."""
    return not _client.exists("dramatiq:default.msgs")


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("dramatiq", "redis")}
