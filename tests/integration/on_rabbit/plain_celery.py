"""An application of plain Celery's on the same RabbitMQ, with results where Umbel's state is (C45)."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

app = Celery(
    "plain", broker=os.environ.get("RABBIT_URL", "amqp://127.0.0.1:1//"), backend=os.environ["UMBEL_STATE_URL"]
)
app.conf.task_default_queue = "shared"
app.conf.task_default_queue_type = "quorum"


@app.task(name="shared.add")
def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shared.fail")
def fail() -> None:
    raise ValueError("as told")


@app.task(name="shared.where", bind=True)
def where(self: Any) -> str:
    return "celery"
