"""The jobs of a shop that the dashboard is looked at with: some end well, some fail, some wait at a gate."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import chain, group
from celery.schedules import crontab

from umbel import Umbel, progress

jobs = Umbel("shop")
jobs.conf.beat_schedule = {
    "report of the night": {"task": "shop.report", "schedule": crontab(hour="3", minute="30"), "args": ("night",)},
    "stock": {"task": "shop.count_stock", "schedule": 900.0, "options": {"queue": "stock"}},
}
#: A job that waits goes on when its file is there.
GATES = Path(os.environ.get("SHOP_GATES", "gates"))
_PATIENCE = 600.0


class OutOfStock(Exception):
    """What was ordered is not there."""


def wait_at(gate: str) -> None:
    """Wait until a gate is open."""
    end = time.monotonic() + _PATIENCE
    while not (GATES / gate).exists() and time.monotonic() < end:
        time.sleep(0.02)


@jobs.task(name="shop.thumbnail", tags=["images"])
def thumbnail(picture: str, width: int = 320) -> dict[str, Any]:
    """End well."""
    return {"picture": picture, "width": width}


@jobs.task(name="shop.reserve")
def reserve(article: str, number: int = 1) -> str:
    """Fail for good, unless its gate is open: then a replay ends well."""
    if not (GATES / f"stock-{article}").exists():
        raise OutOfStock(f"{article} is not there {number} times")
    return article


@jobs.task(name="shop.report")
def report(name: str) -> str:
    """Run until its gate is open, and tell how far it is."""
    progress(1, 3, f"gathering {name}")
    wait_at(name)
    progress(3, 3, "written")
    return f"report of the {name}"


@jobs.task(name="shop.fetch_rates", bind=True, max_retries=5)
def fetch_rates(self: Any, bank: str) -> None:
    """Be refused, and try again in an hour."""
    try:
        raise ConnectionError(f"{bank} does not answer")
    except ConnectionError as error:
        raise self.retry(exc=error, countdown=3600) from error


@jobs.task(name="shop.count_stock")
def count_stock() -> int:
    """End well, in a queue of its own."""
    return 7


@jobs.task(name="shop.order", bind=True)
def order(self: Any, number: int) -> str:
    """Dispatch further jobs."""
    chain(thumbnail.s(f"{number}.png"), group(thumbnail.si("a.png"), thumbnail.si("b.png"))).delay()
    return f"order {number}"


@jobs.task(name="shop.secret")
def secret(card: str) -> None:
    """Have an argument that nobody shall see."""
