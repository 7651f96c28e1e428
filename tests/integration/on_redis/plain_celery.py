"""An application of plain Celery's on the same Redis: its worker's jobs, and what its clients send (C45)."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

url = os.environ.get("PLAIN_REDIS", "redis://127.0.0.1:1/0")
app = Celery("plain", broker=url, backend=url)
app.conf.task_default_queue = "shared"
app.conf.result_expires = 600


@app.task(name="shared.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shared.fail")
def fail() -> None:
    raise ValueError("as told")


@app.task(name="shared.where", bind=True)
def where(self: Any) -> str:
    return "celery"


@app.task(name="shared.total")
def total(numbers: list[int]) -> int:
    return sum(numbers)
