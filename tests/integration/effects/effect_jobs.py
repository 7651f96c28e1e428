"""Jobs whose effects happen once per key. Copied beside the worker as its module of jobs."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from umbel import Done, Idempotent, NotDone, Retry, Umbel, current_effect

app = Umbel("plant")
TRAIL = Path(os.environ.get("PLANT_TRAIL", "trail"))
GATES = TRAIL.with_name("gates")


def tell(*words: object) -> None:
    line = " ".join(map(str, (*words, os.getpid(), f"{time.time():.6f}"))) + "\n"
    fd = os.open(TRAIL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


def charges(order: str) -> int:
    return sum(line.startswith(f"charge {order} ") for line in TRAIL.read_text().splitlines())


def ask(key: str, order: str, how: str = "") -> Done | NotDone:
    tell("asked", order, key)
    return Done(f"charge-{order}") if charges(order) else NotDone()


async def aask(key: str, order: str, how: str = "") -> Done | NotDone:
    await asyncio.sleep(0)
    return ask(key, order, how)


def _pay(order: str, how: str) -> str:
    if how == "fail":
        raise ValueError(order)
    tell("charge", order, current_effect().key)
    while how == "hold" and not (GATES / order).exists():
        time.sleep(0.01)
    if how == "lost":
        raise TimeoutError("no answer")
    return f"charge-{order}"


async def _apay(order: str, how: str) -> str:
    if how == "fail":
        raise ValueError(order)
    tell("charge", order, current_effect().key)
    while how == "hold" and not (GATES / order).exists():
        await asyncio.sleep(0.01)
    if how == "lost":
        raise TimeoutError("no answer")
    return f"charge-{order}"


RETRY = Retry(2, backoff=[0], jitter=False)


@app.task(idempotent=Idempotent(key="order"), retry=RETRY)
def pay(order: str, how: str = "") -> str:
    return _pay(order, how)


@app.task(idempotent=Idempotent(key="order"), retry=RETRY)
async def apay(order: str, how: str = "") -> str:
    return await _apay(order, how)


@app.task(idempotent=Idempotent(key="order", ask=ask), retry=RETRY)
def pay_asking(order: str, how: str = "") -> str:
    return _pay(order, how)


@app.task(idempotent=Idempotent(key="order", ask=aask), retry=RETRY)
async def apay_asking(order: str, how: str = "") -> str:
    return await _apay(order, how)


@app.task(idempotent=Idempotent(key="order", uncertain="repeat"), retry=RETRY)
def pay_again(order: str, how: str = "") -> str:
    return _pay(order, how)


@app.task(idempotent=Idempotent(key="order", uncertain="repeat"), retry=RETRY)
async def apay_again(order: str, how: str = "") -> str:
    return await _apay(order, how)


@app.task
async def in_a_block(order: str) -> Any:
    async with app.idempotent(f"block:{order}") as effect:
        if not effect.done:
            tell("charge", order, effect.key)
            while not (GATES / order).exists():
                await asyncio.sleep(0.01)
            effect.result = f"charge-{order}"
    return effect.result
