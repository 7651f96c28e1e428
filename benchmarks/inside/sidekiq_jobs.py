"""What observes Sidekiq from outside; its client and worker are in ``sidekiq_jobs.rb``."""

import os

import redis

__all__ = ["settled"]

_client = redis.Redis.from_url(os.environ["BENCH_URL"])


def settled(count: int) -> bool:
    """It stores no results: done is when nothing waits and all bodies have run."""
    return not _client.llen("queue:default")
