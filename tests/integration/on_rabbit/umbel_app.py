"""The jobs that workers of Umbel's run on RabbitMQ."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from umbel import Breaker, Concurrency, Umbel, WithoutOverlap, current_lock

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


@app.task(name="shared.alone", overlap=WithoutOverlap(key="path"), shared=False)
def alone(path: str, word: str) -> str:
    """Leave a line behind at the beginning and at the end, while no other one of this path runs."""
    lock = current_lock()
    assert lock is not None
    _write(path, f"enter {word} {lock.fence}")
    time.sleep(0.02)
    _write(path, f"leave {word} {lock.fence}")
    return word


@app.task(name="shared.charge", breaker=Breaker(failures=2, within="1h", open_for="1s", key="path"), shared=False)
async def charge(path: str, word: str) -> str:
    """Fail until there is a file beside the one into which every try is written."""
    _write(path, word)
    if not _is_up(path):
        raise ConnectionError(word)
    return word


def _is_up(path: str) -> bool:
    return Path(f"{path}.up").exists()


def _write(path: str, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


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


@app.task(name="shared.paced", limits=["10/s"], shared=False)
def paced(path: str) -> None:
    """Leave behind when it began, at most ten times a second."""
    with Path(path).open("a") as file:
        file.write(f"{time.time()}\n")


@app.task(name="shared.few", limits=[Concurrency(2)], shared=False)
def few(path: str) -> None:
    """Leave a line behind at the beginning and at the end; two do so at a time."""
    mark.run(path, 0.05)
