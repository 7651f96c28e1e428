"""Jobs that use sessions in every way in which a job can end. Copied beside the worker as its module of jobs."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import text

from umbel import Umbel

app = Umbel("plant")
TRAIL = Path(os.environ.get("PLANT_TRAIL", "trail"))
GATES = TRAIL.with_name("gates")


def tell(*words: object) -> None:
    line = " ".join(map(str, (*words, os.getpid(), f"{time.time():.6f}"))) + "\n"
    fd = os.open(TRAIL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, line.encode())
    os.close(fd)


def _add(label: str) -> Any:
    return text("INSERT INTO orders (label) VALUES (:label)").bindparams(label=label)


@app.task(bind=True, max_retries=1, default_retry_delay=0)
def use(self: Any, how: str) -> str:
    with app.session() as session:
        session.execute(_add(f"{how}-{self.request.retries}"))
        if how == "fail":
            raise ValueError(how)
        if how == "retry" and not self.request.retries:
            raise self.retry()
        if how == "hold":
            tell("holds", how)
            while not (GATES / how).exists():
                time.sleep(0.01)
        session.commit()
    return how


@app.task(bind=True, max_retries=1, default_retry_delay=0)
async def ause(self: Any, how: str) -> str:
    async with app.async_session() as session:
        await session.execute(_add(f"a{how}-{self.request.retries}"))
        if how == "fail":
            raise ValueError(how)
        if how == "retry" and not self.request.retries:
            raise self.retry()
        if how == "hold":
            tell("holds", how)
            while not (GATES / how).exists():
                await asyncio.sleep(0.01)
        await session.commit()
    return how


@app.task
def pooled() -> tuple[int, int]:
    """How many connections are out of the pool, and how many it may hold."""
    pool: Any = app._databases.engine().pool
    return pool.checkedout(), pool.size()


@app.task
async def apooled() -> tuple[int, int]:
    pool: Any = app._databases.async_engine().pool
    return pool.checkedout(), pool.size()


@app.task
def said(label: str) -> None:
    tell("said", label)


@app.task
def buy(label: str, fails: bool) -> None:
    with app.session.begin() as session, app.in_transaction(session):
        session.execute(_add(label))
        said.delay(label)
        if fails:
            raise ValueError(label)


@app.task
async def abuy(label: str, fails: bool) -> None:
    async with app.async_session.begin() as session, app.in_transaction(session):
        await session.execute(_add(label))
        await said.adelay(label)
        if fails:
            raise ValueError(label)
