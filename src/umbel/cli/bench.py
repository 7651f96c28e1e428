"""``umbel bench``: what Umbel does on this machine, on a store of its own that is gone afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import click

from umbel.cli.console import print_json, remark
from umbel.cli.group import EX_USAGE, Failure

if TYPE_CHECKING:
    from umbel.cli.bench_rates import Rates

__all__ = ("bench",)

_REDIS: Final = ("redis://", "rediss://", "unix://", "redis+socket://")
_KEYS: Final = 1000


@click.command()
@click.option(
    "--broker", metavar="URL", help="A Redis to measure on, under keys of its own; default: a file in a private folder."
)
@click.option(
    "--jobs", type=click.IntRange(1, 10_000_000), default=20_000, show_default=True, metavar="N", help="How many jobs."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    default=1,
    show_default=True,
    metavar="N",
    help="Worker processes that drain them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bench(broker: str | None, jobs: int, processes: int, as_json: bool) -> None:
    """Measure Umbel on this machine.

    Dispatch, draining and idle latency of jobs that do nothing, results stored. It needs no application and touches
    none: the store is a private one, and removed afterwards.
    """
    if os.name != "posix":
        raise Failure("'umbel bench' needs Linux or macOS.")
    if broker is not None and not broker.startswith(_REDIS):
        raise Failure("--broker takes the URL of a Redis, such as redis://localhost:6379/0.", EX_USAGE)
    # So that the store is removed when it is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    remark(f"Measuring {'on Redis' if broker else 'in a private file'}: {jobs:,} jobs, well under a minute mostly.")
    with _private_store(broker):
        from umbel.cli.bench_rates import measure

        rates = measure(jobs, processes)
    if as_json:
        print_json(asdict(rates))
    else:
        _say(rates)


@contextlib.contextmanager
def _private_store(broker: str | None) -> Iterator[None]:
    """Let the settings name a fresh store, and nothing of the user's; remove it afterwards."""
    for name in [name for name in os.environ if name.startswith(("UMBEL_", "CELERY_"))]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="umbel-bench-") as folder, contextlib.chdir(folder):
        os.environ["UMBEL_BROKER_URL"] = broker or f"sqlite:///{folder}/umbel.db"
        os.environ["BENCH_KEY_PREFIX"] = f"umbel-bench-{uuid4().hex}:" if broker else ""
        try:
            yield
        finally:
            if broker:
                _drop(os.environ["BENCH_KEY_PREFIX"])


def _drop(prefix: str) -> None:
    from umbel.cli.bench_jobs import jobs
    from umbel.engine.redis import RedisEngine

    engine = jobs.engine
    assert isinstance(engine, RedisEngine)
    with engine.store.asking() as client:
        keys = list(client.scan_iter(match=f"{prefix}*", count=_KEYS))
        for first in range(0, len(keys), _KEYS):
            client.unlink(*keys[first : first + _KEYS])


def _say(rates: Rates) -> None:
    processes = "one process" if rates.processes == 1 else f"{rates.processes} processes"
    for name, value, what in (
        ("dispatch", f"{rates.dispatch_per_second:,.0f}", "jobs/s one by one, through delay()"),
        ("enqueue_many", f"{rates.enqueue_many_per_second:,.0f}", "jobs/s in batches"),
        ("drain", f"{rates.drain_per_second:,.0f}", f"jobs/s through {processes}, results stored"),
        ("latency p50", f"{rates.latency_p50_ms:.2f}", "ms from delay() to the job's first line, worker idle"),
        ("latency p99", f"{rates.latency_p99_ms:.2f}", "ms"),
    ):
        click.echo(f"{name:<13}{value:>10}  {what}")
