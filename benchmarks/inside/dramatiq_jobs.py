"""Dramatiq on Redis, results stored."""

import os
import time
from importlib.metadata import version

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.inside import tally

__all__ = ["broker", "dispatch", "fill", "fill_naps", "nap", "noop", "send_stamp", "settled", "stamp", "versions"]

_URL = os.environ["BENCH_URL"]

broker = RedisBroker(url=_URL)
broker.add_middleware(Results(backend=RedisBackend(url=_URL)))
dramatiq.set_broker(broker)

_client = redis.Redis.from_url(_URL)


@dramatiq.actor(store_results=True)
def noop(number: int) -> int:
    """Do nothing."""
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
