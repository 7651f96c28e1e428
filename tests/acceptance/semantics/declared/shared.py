"""Tasks declared with ``shared_task``, as reusable packages do, without an application at hand."""

from __future__ import annotations

import asyncio
from typing import Any

from celery import shared_task

__all__ = ("subtract", "subtract_async")


@shared_task(name="sync.subtract")
def subtract(x: Any, y: Any) -> Any:
    return x - y


@shared_task(name="async.subtract")
async def subtract_async(x: Any, y: Any) -> Any:
    await asyncio.sleep(0.001)
    return x - y
