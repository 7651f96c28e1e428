"""What observes BullMQ from outside; its client and worker are in ``bullmq.js``."""

import os

import redis

__all__ = ["settled"]

_client = redis.Redis.from_url(os.environ["BENCH_URL"])


def settled(count: int) -> bool:
    """A job enters this set in the script that stores its result."""
    return int(_client.zcard("bull:bench:completed")) >= count
