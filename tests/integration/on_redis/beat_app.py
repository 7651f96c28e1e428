"""An application with a schedule, whose schedulers take a silent leader for dead after a second and a half."""

from __future__ import annotations

import os

from umbel import Umbel
from umbel.engine import redis_leader
from umbel.schedule import beat

redis_leader.LEADER_SECONDS = 1.5
beat._LOOK_SECONDS = 0.2

app = Umbel("clockwork", broker=os.environ.get("PLAIN_REDIS", "redis://127.0.0.1:1/0"))
app.conf.task_default_queue = "ticks"
app.conf.beat_schedule = {
    name: {"task": "clockwork.strike", "schedule": seconds, "args": (name,)}
    for name, seconds in (("fast", 0.05), ("slow", 0.3))
}


@app.task(name="clockwork.strike", shared=False)
def strike(name: str) -> None:
    """Nothing: what counts is that it was sent."""
