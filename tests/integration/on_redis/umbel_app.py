"""The same tasks as an application of Umbel's."""

from __future__ import annotations

import os

from umbel import Umbel

app = Umbel("shop", broker=os.environ.get("PLAIN_REDIS", "redis://127.0.0.1:1/0"))
app.conf.task_default_queue = "shared"


@app.task(name="shared.add", shared=False)
async def add(x: int, y: int) -> int:
    return x + y


@app.task(name="shared.fail", shared=False)
def fail() -> None:
    raise ValueError("as told")


@app.task(name="shared.where", shared=False)
def where() -> str:
    return "umbel"
