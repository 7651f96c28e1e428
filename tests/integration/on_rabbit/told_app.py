"""Jobs with hooks and webhooks on RabbitMQ."""

from __future__ import annotations

import os
from pathlib import Path

from umbel import Hooks, JobContext, Umbel

app = Umbel("shop", broker=os.environ.get("RABBIT_URL", "amqp://127.0.0.1:1//"))
app.conf.task_default_queue = "shared"


def heard(job: JobContext) -> None:
    with Path(os.environ["TOLD_PATH"]).open("a") as file:
        file.write(f"{job.id} {job.result if job.error is None else job.error}\n")


@app.task(
    name="told.divide", shared=False, hooks=Hooks(success=heard, failure=heard), webhook=os.environ.get("TOLD_URL")
)
def divide(a: int, b: int) -> int:
    return a // b
