"""The jobs that workers of Umbel's run on RabbitMQ."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from umbel import Umbel

app = Umbel("shop", broker=os.environ.get("RABBIT_URL", "amqp://127.0.0.1:1//"))
app.conf.task_default_queue = "shared"


@app.task(name="shared.add", shared=False)
async def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shared.total", shared=False)
def total(numbers: list[int]) -> int:
    return sum(numbers)


@app.task(name="shared.fail", shared=False)
def fail() -> None:
    raise ValueError("as told")


@app.task(name="shared.unless", bind=True, max_retries=1, shared=False)
def unless(self: Any, path: str) -> str:
    """Fail, with one retry, until there is such a file."""
    if not Path(path).exists():
        try:
            raise ValueError(f"there is no {Path(path).name}")
        except ValueError as error:
            raise self.retry(exc=error, countdown=0) from error
    return "found"


@app.task(name="shared.where", shared=False)
def where() -> str:
    return "umbel"


@app.task(name="shared.again", bind=True, max_retries=3, shared=False)
def again(self: Any, times: int, countdown: float) -> int:
    if self.request.retries < times:
        raise self.retry(countdown=countdown)
    return int(self.request.retries)


@app.task(name="shared.mark", shared=False)
def mark(path: str, seconds: float = 0.0) -> str:
    """Leave a line behind at the beginning and at the end."""
    with Path(path).open("a") as file:
        file.write(f"begin {os.getpid()}\n")
    time.sleep(seconds)
    with Path(path).open("a") as file:
        file.write("end\n")
    return path


@app.task(name="shared.die", shared=False)
def die(path: str) -> None:
    """End this process."""
    with Path(path).open("a") as file:
        file.write("begin\n")
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(name="shared.slow_add", shared=False)
def slow_add(x: int, seconds: float) -> int:
    time.sleep(seconds)
    return x
