"""A block under limits, in any code: ``with jobs.limit("smtp", "100/m")`` (C33, C34)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from umbel.errors import LimitReached
from umbel.ids import new_id
from umbel.jobs.limits import AnyLimit, Concurrency
from umbel.jobs.slots import Slot
from umbel.state.limits import Ask, Limit

__all__ = ("LimitBlock",)


class LimitBlock:
    """A block that begins when its limits let it; see :meth:`umbel.Umbel.limit`."""

    def __init__(self, app: Any, name: str, limits: Sequence[AnyLimit], wait: float) -> None:
        self._app = app
        self._name = name
        self._limits = limits
        self._wait = wait
        self._slots = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Raises :exc:`LimitReached` when it would be longer than ``wait`` until it may begin."""
        try:
            for pause in self._pauses():
                time.sleep(pause)
        except BaseException:
            self._slots.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._slots.close()

    async def __aenter__(self) -> Self:
        """Raises :exc:`LimitReached` when it would be longer than ``wait`` until it may begin."""
        pauses = self._pauses()
        try:
            pause = await asyncio.to_thread(next, pauses, None)
            while pause is not None:
                await asyncio.sleep(pause)
                pause = await asyncio.to_thread(next, pauses, None)
        except BaseException:
            await asyncio.to_thread(self._slots.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._slots.close)

    def _pauses(self) -> Iterator[float]:
        """Try until all limits let it begin; yield how long to wait before each next try."""
        deadline, owner = time.monotonic() + self._wait, new_id()
        for slot in self._free_slots(owner, deadline):
            yield from slot.pauses()
            self._slots.callback(slot.release)
        rates = tuple(self._rates())
        if not rates:
            return
        ask = Ask(owner, rates)
        while (wait := self._app.engine.limits.reserve([ask])[0].wait) > 0:
            if time.monotonic() + wait > deadline:
                self._app.engine.limits.give_back(ask)
                raise LimitReached.of(self._name, wait)
            yield wait

    def _free_slots(self, owner: str, deadline: float) -> Iterator[Slot]:
        for number, limit in enumerate(self._limits):
            if isinstance(limit, Concurrency):
                most = self._app.limits.most(self._base(number), limit)
                wait, seconds = max(deadline - time.monotonic(), 0.0), limit.for_.total_seconds()
                if most:
                    yield Slot(self._app.slot_keeper, self._base(number), seconds, wait=wait, owner=owner, most=most)

    def _rates(self) -> Iterator[Limit]:
        for number, limit in enumerate(self._limits):
            if not isinstance(limit, Concurrency):
                yield Limit(self._base(number), self._base(number), limit.rule)

    def _base(self, number: int) -> str:
        limit: Any = self._limits[number]
        words = ["named", self._name, *(["slots"] if isinstance(limit, Concurrency) else [])]
        # A second one of the same kind has a number.
        same = sum(isinstance(one, Concurrency) == (words[-1] == "slots") for one in self._limits[:number])
        return limit.name or ":".join(words) + (f"#{same + 1}" if same else "")
