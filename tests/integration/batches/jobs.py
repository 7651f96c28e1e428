"""The jobs of the workers of this package."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator

from celery.exceptions import Reject

from tests.integration.worker.jobs import GATES, tell
from umbel import Retry, Umbel, resumable

__all__ = ("app",)

app = Umbel("batches")


@app.task
def note(word: str) -> str:
    batch = app.current_batch()
    tell("note", word, "-" if batch is None else batch.id)
    return word


@app.task(acks_late=False)
def note_early(word: str) -> str:
    """Acknowledged before it begins."""
    tell("note", word, "-")
    return word


@app.task(acks_late=False)
def fail_early(word: str) -> None:
    raise ValueError(word)


@app.task
async def note_async(word: str) -> str:
    batch = app.current_async_batch()
    tell("note", word, "-" if batch is None else batch.id)
    return word


@app.task
def called(batch: str, kind: str) -> None:
    found = app.current_batch()
    assert found is None or found.id == batch
    tell("called", kind, batch, "-" if found is None else found.status().state)


@app.task
def fail(word: str) -> None:
    """Fail until the gate is opened."""
    if not (GATES / word).exists():
        raise ValueError(word)


@app.task
def refuse(word: str) -> None:
    raise Reject(word, requeue=False)


@app.task(retry=Retry(3, backoff=["10ms"]))
def stubborn(word: str) -> None:
    """Succeed at the third try."""
    request = stubborn.request
    tell("try", word, request.retries)
    if request.retries < 2:
        raise ConnectionError(word)


@app.task(bind=True)
def replaced(self, word: str) -> None:  # type: ignore[no-untyped-def]
    self.replace(app.signature(note.name, (word,)))


@app.task(bind=True)
def twice(self, name: str) -> None:  # type: ignore[no-untyped-def]
    """Order another try and return all the same; that one waits at the gate."""
    tell("twice", name, self.request.retries)
    if not self.request.retries:
        self.retry(countdown=0, throw=False)
    else:
        wait_at(name)


@app.task
def hold(name: str) -> None:
    tell("hold", name)
    while not (GATES / name).exists():
        time.sleep(0.01)


@app.task
async def hold_async(name: str) -> None:
    tell("hold", name)
    while not (GATES / name).exists():
        await asyncio.sleep(0.01)


@app.task
def die(name: str) -> None:
    """End the process, the first time; what was added before is not added again."""
    batch = app.current_batch()
    assert batch is not None
    batch.add(note.s(f"{name}-1"), note.s(f"{name}-2"))
    if not (GATES / name).exists():
        (GATES / name).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    batch.add(note.s(f"{name}-3"))


@app.task
async def next_batch(batch: str, left: int) -> None:
    """A chain of batches: each opens the next one when it has ended."""
    tell("stage", left, batch)
    if left:
        async with app.batch(f"stage-{left}", then=next_batch.s(left - 1)) as opened:
            await opened.add_many(note_async, [f"{left}-{number}" for number in range(3)])


@app.task
def open_and_die(name: str) -> None:
    with app.batch(name, then=called.s("then"), finally_=called.s("finally")) as batch:
        batch.add_many(note, [f"{name}-{number}" for number in range(3)])
        if not (GATES / name).exists():
            (GATES / name).touch()
            os.kill(os.getpid(), signal.SIGKILL)


@app.task
def rows(name: str, count: int, every: int = 1) -> list[int]:
    """Loop over rows; a row waits at the gate that is called like it."""
    seen = []
    for number in resumable(range(count), every=every):
        tell("row", name, number)
        wait_at(f"{name}-{number}")
        seen.append(number)
    return seen


@app.task
async def rows_async(name: str, count: int, every: int = 1) -> list[int]:
    """The same by a cursor, and asynchronous."""

    async def after(last: int | None) -> AsyncIterator[int]:
        for number in range(0 if last is None else last + 1, count):
            yield number

    seen = []
    async for number in resumable(after, cursor=lambda number: number, every=every):
        tell("row", name, number)
        while is_shut(f"{name}-{number}"):
            await asyncio.sleep(0.01)
        seen.append(number)
    return seen


@app.task(retry=Retry(3, backoff=["10ms"]))
def rows_retried(name: str) -> None:
    """Fail at a row at each try."""
    for number in resumable(range(4), every=1):
        tell("row", name, number)
        if number == rows_retried.request.retries:
            raise ConnectionError(name)


@app.task
def two_loops(name: str) -> None:
    for outer in resumable(range(3), name="outer", every=1):
        for inner in resumable(letters(), name=f"inner-{outer}", every=1):
            tell("pair", name, outer, inner)
            if (outer, inner) == (1, "b") and not (GATES / name).exists():
                (GATES / name).touch()
                os.kill(os.getpid(), signal.SIGKILL)


def letters() -> Iterator[str]:
    yield from "abc"


def is_shut(name: str) -> bool:
    """Whether there is a gate of this name that has not been opened: ``NAME.shut`` is there, ``NAME`` is not."""
    return (GATES / f"{name}.shut").exists() and not (GATES / name).exists()


def wait_at(name: str) -> None:
    while is_shut(name):
        time.sleep(0.01)
