"""The same job for plain Celery."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("plain", broker=os.environ["LONG_URL"])
app.conf.task_acks_late = True
app.conf.broker_transport_options = {"visibility_timeout": float(os.environ["LONG_VISIBILITY"])}
TRAIL = Path(os.environ["LONG_TRAIL"])


@app.task(name="plain.sleep")
def sleep(seconds: float) -> None:
    _tell("begun")
    time.sleep(seconds)
    _tell("ended")


def _tell(word: str) -> None:
    with TRAIL.open("a") as file:
        file.write(f"{word}\n")
