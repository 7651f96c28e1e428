"""Tasks that only exist as coroutines: what they start, await and clean up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from celery import current_task

from tests.acceptance.semantics.catalogue import only_coroutine
from tests.acceptance.semantics.declared.plain import FROM_PRERUN, describe
from tests.acceptance.semantics.trail import note, pass_gate_async

__all__ = ()


@only_coroutine(bind=True)
async def see_across_awaits(self: Any, key: str) -> list[dict[str, Any]]:
    """Describe oneself before and after an await during which others run."""
    before = describe(self)
    note(key, "waiting")
    await pass_gate_async(key)
    return [before, describe(self)]


@only_coroutine(bind=True)
async def gather_children(self: Any, count: int) -> list[list[str | None]]:
    async def child() -> list[str | None]:
        await asyncio.sleep(0.005)
        return [self.request.id, current_task.request.id, FROM_PRERUN.get()]

    return list(await asyncio.gather(*(child() for _ in range(count))))


@only_coroutine(bind=True)
async def task_group(self: Any, count: int) -> list[str]:
    found: list[str] = []

    async def child() -> None:
        await asyncio.sleep(0.005)
        found.append(self.request.id)

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(child())
    return found


@only_coroutine(bind=True, max_retries=2, default_retry_delay=0)
async def retry_in_child(self: Any, key: str) -> str:
    """Retry from a gathered child."""
    note(key, "try", retries=self.request.retries)

    async def child() -> str:
        await asyncio.sleep(0)
        if self.request.retries < 2:
            raise self.retry()
        return "third"

    return (await asyncio.gather(child()))[0]


@only_coroutine()
async def failing_group(key: str) -> None:
    """Fail in one child, so that its sibling is cancelled."""

    async def sibling() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            note(key, "sibling stopped")

    async def failing() -> None:
        await asyncio.sleep(0.005)
        raise ValueError("child")

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sibling())
            group.create_task(failing())
    except* ValueError as errors:
        note(key, "group failed", count=len(errors.exceptions))


@only_coroutine()
async def own_timeout() -> str:
    try:
        async with asyncio.timeout(0.02):
            await asyncio.sleep(60)
    except TimeoutError:
        return "timed out"
    return "never"


@only_coroutine()
async def leaking_timeout() -> None:
    async with asyncio.timeout(0.02):
        await asyncio.sleep(60)


@only_coroutine()
async def cancel_oneself() -> None:
    """A CancelledError that nobody asked for is a failure like others."""
    await asyncio.sleep(0)
    raise asyncio.CancelledError("by myself")


@only_coroutine()
async def cancel_a_child() -> str:
    async def child() -> None:
        await asyncio.sleep(60)

    running = asyncio.create_task(child())
    await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return "child cancelled"


@only_coroutine()
async def closes_contexts(key: str) -> None:
    """Leave an async context and a half-read async generator behind when stopped."""

    @contextlib.asynccontextmanager
    async def context() -> AsyncIterator[None]:
        note(key, "entered")
        try:
            yield
        finally:
            await asyncio.sleep(0)
            note(key, "left")

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            note(key, "generator closed")

    async with context(), contextlib.aclosing(numbers()) as stream:
        async for _ in stream:
            note(key, "started")
            await asyncio.sleep(60)


@only_coroutine(bind=True)
async def dispatch_inside(self: Any, x: int) -> str:
    """Dispatch from within a coroutine, by the plain and by the awaitable call."""
    self.app.tasks["async.add"].delay(x, 1)
    result = await self.app.tasks["async.add"].aapply_async((x, 2))
    return str(result.id)


@only_coroutine()
async def in_thread(value: int) -> int:
    return await asyncio.to_thread(lambda: value + 1)


@only_coroutine(bind=True)
async def request_in_thread(self: Any) -> str:
    return str(await asyncio.to_thread(lambda: self.request.id))
