"""A job that outlives every lease (C15): on two hosts that watch each other, and beside them on plain Celery's workers.

Umbel's hosts are two supervisors with a run directory each, so that only the beats of their leases tell of them.
Plain Celery acknowledges late, as who must not lose a job has to set it, with a visibility timeout of a tenth of
the job's length.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from celery import Celery

from tests.chaos.redis_site import RedisSite
from tests.integration.worker.plant import ROOT, Plant, planted, until

__all__ = ("job",)

_MARGIN: Final = 120.0


def job(folder: Path, *, seconds: float, plain: bool = True) -> Iterator[tuple[str, Any]]:
    """Run it, and give figures as they come."""
    site = RedisSite(folder, append=False)
    try:
        place = folder / "umbel"
        place.mkdir()
        with planted(place, f"redis://127.0.0.1:{site.port}/0") as plant:
            yield from _umbel(plant, seconds)
        if plain:
            yield from _celery(folder, f"redis://127.0.0.1:{site.port}/1", seconds)
    finally:
        site.close()


def _umbel(plant: Plant, seconds: float) -> Iterator[tuple[str, Any]]:
    for name in ("first", "second"):
        (plant.folder / name).mkdir()
        plant.start(TMPDIR=str(plant.folder / name), concurrency=2)
    # Longer than the limits that tasks have by default: it has its own.
    limits = {"time_limit": seconds + _MARGIN, "soft_time_limit": seconds + _MARGIN / 2}
    task_id = plant.send("sleep", "long", seconds, **limits)
    plant.until_told("released", "long", seconds=seconds + _MARGIN)
    begun = len(plant.lines("hold", "long"))
    yield "umbel_seconds", f"{seconds:g}"
    yield "umbel_times_begun", begun
    state = plant.ended(task_id).state
    until(plant.empty, "an empty store")
    if begun != 1 or state.value != "succeeded":
        yield "fault", f"begun {begun} times, {state.value}"


def _celery(folder: Path, url: str, seconds: float) -> Iterator[tuple[str, Any]]:
    trail = folder / "plain-trail"
    environment = {
        **os.environ,
        "LONG_URL": url,
        "LONG_TRAIL": str(trail),
        "LONG_VISIBILITY": str(seconds / 10),
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
    }
    command = [sys.executable, "-m", "celery", "-A", "tests.long.plain_jobs", "worker", "-P", "threads", "-c", "20"]
    with (
        (folder / "plain.log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process,
        Celery("plain", broker=url, set_as_current=False) as client,
    ):
        try:
            client.send_task("plain.sleep", (seconds,))
            until(lambda: trail.exists() and "ended" in trail.read_text(), "its end", seconds + _MARGIN)
            yield "celery_times_begun", trail.read_text().count("begun")
        finally:
            process.kill()
