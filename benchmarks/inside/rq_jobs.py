"""RQ on Redis, results stored, JSON."""

import os
from importlib.metadata import version

import redis
from rq import Queue
from rq.serializers import JSONSerializer

from benchmarks.inside import tally

__all__ = ["dispatch", "fill", "fill_naps", "noop", "send_stamp", "settled", "stamp", "versions"]

_BATCH = 500

_client = redis.Redis.from_url(os.environ["BENCH_URL"])
_queue = Queue("bench", connection=_client, serializer=JSONSerializer)


def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


def dispatch(number: int) -> object:
    return _queue.enqueue(noop, number)


def fill(count: int, delay: float | None) -> None:
    for first in range(0, count, _BATCH):
        numbers = range(first, min(count, first + _BATCH))
        with _client.pipeline() as pipe:
            _queue.enqueue_many([Queue.prepare_data(noop, args=(number,)) for number in numbers], pipeline=pipe)
            pipe.execute()


def fill_naps(count: int, how: str) -> None:
    raise NotImplementedError("one job at a time in a process")


def send_stamp(sent: float) -> object:
    return _queue.enqueue(stamp, sent)


def settled(count: int) -> bool:
    """A job enters this set in the transaction that stores its result."""
    return int(_client.zcard("rq:finished:bench")) >= count


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("rq", "redis")}
