"""The floor: what Redis and Python allow when a job is a name and a number, and nothing else is promised.

Batches of a hundred: one script moves them to a list of leased ones, they are run in order, and one pipeline stores
their results and drops the leases.
"""

import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import redis

from benchmarks.inside import tally

__all__ = ["dispatch", "fill", "fill_naps", "send_stamp", "settled", "versions", "work"]

_BATCH = 100
_PUSH = 500
_QUEUE, _LEASED = "floor:queue", "floor:leased"
_EXPIRES = 3600
_FETCH = (Path(__file__).parent / "floor_fetch.lua").read_text()

_client = redis.Redis.from_url(os.environ["BENCH_URL"])


def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


_BODIES: dict[str, Callable[..., object]] = {"noop": noop, "stamp": stamp}


def dispatch(number: int) -> object:
    return _client.lpush(_QUEUE, _message("noop", number))


def fill(count: int, delay: float | None) -> None:
    for first in range(0, count, _PUSH):
        _client.lpush(_QUEUE, *[_message("noop", number) for number in range(first, min(count, first + _PUSH))])


def fill_naps(count: int, how: str) -> None:
    raise NotImplementedError("one job at a time")


def send_stamp(sent: float) -> object:
    return _client.lpush(_QUEUE, _message("stamp", sent))


def settled(count: int) -> bool:
    return not _client.exists(_QUEUE, _LEASED)


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("redis", "hiredis")}


def work() -> None:
    """Run for ever."""
    fetch = _client.register_script(_FETCH)
    while True:
        batch = fetch(keys=[_QUEUE, _LEASED], args=[_BATCH])
        if batch:
            _run(batch)
        else:
            # Waits for a message and takes none.
            _client.blmove(_QUEUE, _QUEUE, 1.0, "RIGHT", "RIGHT")


def _run(batch: list[bytes]) -> None:
    pipe = _client.pipeline(transaction=False)
    for message in batch:
        job = json.loads(message)
        result = _BODIES[job["task"]](*job["args"])
        pipe.set(f"floor:result:{job['id']}", json.dumps({"status": "SUCCESS", "result": result}), ex=_EXPIRES)
    pipe.delete(_LEASED)
    pipe.execute()


def _message(task: str, argument: float) -> str:
    return json.dumps({"id": os.urandom(16).hex(), "task": task, "args": [argument]})


if __name__ == "__main__":
    work()
