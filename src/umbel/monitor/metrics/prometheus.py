"""What Prometheus scrapes, in its text format or OpenMetrics, by prometheus-client.

Counters and histograms come from the history, which counts each event once and never goes back; so every process that
is asked says the same, and a restart of anything resets nothing. Gauges are read from the store at each scrape, and are
shared by all who ask within a second. While one of the two is away the other's are there, and ``umbel_store_up`` or
``umbel_history_up`` is 0. Series are bounded: so many tasks and queues have their own, the rest are one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from umbel.errors import UmbelError
from umbel.monitor.histograms import BOUNDS, Histogram
from umbel.monitor.metrics.live import read_live
from umbel.monitor.metrics.scaling import Scaling

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.monitor.metrics.live import Live
    from umbel.monitor.metrics.totals import Totals

__all__ = ("Metrics",)

logger = logging.getLogger("umbel.metrics")

#: Of the bounds of the rollups, those that are twice the one before.
_EVERY: Final = 2
_KEPT_SECONDS: Final = 1.0
#: So many queues have gauges of their own.
_QUEUES_MOST: Final = 500
_OUTCOMES: Final = ("succeeded", "failed", "retried", "cancelled", "expired", "interrupted")


class Metrics:
    """The metrics of one application; safe to share among threads."""

    def __init__(self, app: Umbel) -> None:
        self._collector: Final = _Collector(app)
        self._registry: Final = CollectorRegistry(auto_describe=False)
        self._registry.register(self._collector)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return what a scraper is told, and its content type; ``accept``: what it says that it reads."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Collector(Collector):
    def __init__(self, app: Umbel) -> None:
        self._app: Final = app
        self._scaling: Final = Scaling(app)
        self._lock: Final = threading.Lock()
        self._last: list[Metric] = []
        self._expires = float("-inf")

    def describe(self) -> Iterable[Metric]:
        """Say nothing before somebody asks: the names are always the same."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics, at most a second old."""
        with self._lock:
            if time.monotonic() >= self._expires:
                self._last = list(self._read())
                self._expires = time.monotonic() + _KEPT_SECONDS
            return self._last

    def _read(self) -> Iterator[Metric]:
        live = _tried("store", lambda: read_live(self._app.engine))
        yield _gauge("umbel_store_up", "Whether the store of messages can be read.", live is not None)
        totals = incidents = None
        if self._app.settings.history:
            totals = _tried("history", lambda: _totals(self._app))
            incidents = _tried("history", lambda: self._app.history.incidents.counts())
        yield _gauge("umbel_history_up", "Whether the history of jobs can be read.", totals is not None)
        if live is not None:
            yield from _of_queues(live)
            yield from _of_workers(live)
            yield from _of_recorder(live)
            wanted = _tried("history", lambda: self._scaling.of(live))
            if wanted is not None:
                text = "How many replicas of the workers would do, by UMBEL_AUTOSCALE_*."
                yield _gauge("umbel_wanted_replicas", text, wanted.replicas)
        if totals is not None:
            yield from _of_jobs(totals)
        if incidents is not None:
            found = GaugeMetricFamily("umbel_incidents", "Alerts that are going on.", labels=("rule",))
            for rule, count in incidents.items():
                found.add_metric((rule,), count)
            yield found


def _totals(app: Umbel) -> Totals:
    # Only where there is a history there is SQLAlchemy.
    database = app.history.database
    from umbel.monitor.metrics.totals import read_totals

    return read_totals(database)


def _tried(what: str, read: Callable[[], Any]) -> Any:
    """Return what is read; None while that cannot be read."""
    try:
        return read()
    except (UmbelError, OSError) as error:
        logger.error("The %s cannot be read for metrics: %s", what, error)
        return None


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


def _of_queues(live: Live) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("umbel_queue_jobs", "Jobs in a queue, by what they wait for.", labels=("queue", "state"))
    oldest = GaugeMetricFamily(
        "umbel_queue_oldest_wait_seconds", "How long the next job of a queue has been due.", labels=("queue",)
    )
    consumers = GaugeMetricFamily("umbel_queue_consumers", "Live processes that consume a queue.", labels=("queue",))
    paused = GaugeMetricFamily("umbel_queue_paused", "Whether a queue is paused.", labels=("queue",))
    for one in live.queues[:_QUEUES_MOST]:
        for state in ("ready", "delayed", "leased", "suspect"):
            jobs.add_metric((one.name, state), getattr(one, state))
        if one.name in live.waits or not one.ready:
            oldest.add_metric((one.name,), live.waits.get(one.name, 0.0))
        consumers.add_metric((one.name,), one.consumers)
        paused.add_metric((one.name,), one.paused)
    yield from (jobs, oldest, consumers, paused)


def _of_workers(live: Live) -> Iterator[Metric]:
    yield _gauge("umbel_workers", "Live worker processes.", len(live.workers))
    yield _gauge("umbel_slots", "Jobs that they can run at a time.", live.slots)
    yield _gauge("umbel_slots_busy", "How many of those are taken.", live.busy)
    yield _gauge("umbel_dead_letters", "Jobs that have failed for good and are kept.", live.dead_letters)


def _of_recorder(live: Live) -> Iterator[Metric]:
    if live.backlog is not None:
        entries, seconds, lost = live.backlog.entries, live.backlog.seconds, live.backlog.lost
        yield _gauge("umbel_recorder_backlog_entries", "Entries of the log that are not in the history yet.", entries)
        yield _gauge("umbel_recorder_lag_seconds", "How long ago the oldest of them was told.", seconds)
        yield CounterMetricFamily("umbel_recorder_lost_entries", "Entries for which there was no room.", value=lost)


def _of_jobs(totals: Totals) -> Iterator[Metric]:
    queued = CounterMetricFamily("umbel_jobs_queued", "Jobs that were dispatched.", labels=("task", "queue"))
    ended = CounterMetricFamily(
        "umbel_executions", "Executions by how they ended.", labels=("task", "queue", "outcome")
    )
    for (task, queue), one in totals.cells.items():
        queued.add_metric((task, queue), one.counts["queued"])
        for outcome in _OUTCOMES:
            ended.add_metric((task, queue, outcome), one.counts[outcome])
    waits = HistogramMetricFamily("umbel_wait_seconds", "How long jobs waited after they were due.", labels=("queue",))
    for queue, one in totals.by_queue.items():
        waits.add_metric((queue,), _buckets(one.waited), one.waited_seconds)
    runs = HistogramMetricFamily("umbel_run_seconds", "How long executions took.", labels=("task",))
    for task, one in totals.by_task.items():
        runs.add_metric((task,), _buckets(one.ran), one.ran_seconds)
    yield from (queued, ended, waits, runs)


def _buckets(lengths: Histogram) -> list[tuple[str, float]]:
    counts = [*lengths.counts, *[0] * (len(BOUNDS) + 1 - len(lengths.counts))]
    buckets: list[tuple[str, float]] = []
    below = 0
    for place, count in enumerate(counts[: len(BOUNDS)]):
        below += count
        if place % _EVERY == 0:
            # Bounds are powers of the root of two: these are whole milliseconds but for the last digit.
            buckets.append((repr(round(BOUNDS[place], 6)), float(below)))
    return [*buckets, ("+Inf", float(lengths.total))]
