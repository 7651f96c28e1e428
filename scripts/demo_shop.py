"""A shop with everything that a dashboard shows: the application of `screenshots`.

Its jobs sleep and fail by their numbers, so that each run looks alike.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta

from celery.schedules import crontab

from umbel import Concurrency, RateLimit, Retry, Umbel, progress

__all__ = ("jobs",)

jobs = Umbel("shop", broker=os.environ.get("SHOP_BROKER"))
jobs.limits.queue("mail", RateLimit("600/m"))
jobs.conf.beat_schedule = {
    "collect-statistics": {"task": "shop.statistics", "schedule": timedelta(seconds=10)},
    "clean-up": {"task": "shop.clean_up", "schedule": crontab(minute="15", hour="3")},
    "weekly-report": {"task": "shop.report", "schedule": crontab(minute="0", hour="8", day_of_week="mon")},
}


class CardDeclined(Exception):
    """The bank has said no."""


@jobs.task(name="shop.send_mail", queue="mail", retry=Retry(5), sensitive=("address",))
def send_mail(order: int, address: str) -> str:
    """Send the receipt of an order."""
    time.sleep(0.05)
    return f"sent for order {order}"


@jobs.task(name="shop.charge", queue="payments", retry=2, limits=[Concurrency(4)], time_limit=60)
def charge(order: int) -> int:
    """Charge a card; each seventh is declined."""
    time.sleep(0.1)
    if order % 7 == 0:
        raise CardDeclined(f"the card of order {order} was declined")
    return order * 100


@jobs.task(name="shop.resize", queue="images")
def resize(picture: str, width: int) -> str:
    """Make a picture smaller."""
    time.sleep(0.2)
    return f"{picture}@{width}"


@jobs.task(name="shop.publish", queue="images")
def publish(pictures: list[str]) -> int:
    """Show the pictures of a product."""
    return len(pictures)


@jobs.task(name="shop.import_rows", queue="imports")
def import_rows(part: int) -> int:
    """Import a part of the catalogue."""
    time.sleep(0.5)
    if part in (5, 11):
        raise ValueError(f"row {part * 100} has no price")
    return part


@jobs.task(name="shop.report", queue="reports")
def report(month: str) -> str:
    """Put a report together, for long."""
    for step in range(1, 121):
        progress(step, 120, f"page {step}")
        time.sleep(0.5)
    return f"{month}.pdf"


@jobs.task(name="shop.newsletter", queue="newsletter")
def newsletter(issue: int) -> None:
    """Send a newsletter."""


@jobs.task(name="shop.export", queue="exports")
def export(kind: str) -> None:
    """Export something; nobody consumes this queue."""


@jobs.task(name="shop.statistics")
def statistics() -> None:
    """Count what there is."""


@jobs.task(name="shop.clean_up")
def clean_up() -> None:
    """Throw old baskets away."""
