"""Dies at every step of a scenario, each time in a process of its own.

``python -m tests.integration.outbox.killing DATABASE BROKER SCENARIO [lines]``

A step is the moment before a statement, a commit or a rollback that SQLAlchemy sends, before and after what is handed
to the broker, and before the fast way; with ``lines`` each line of the scenario and of the outbox's code besides. What
is imported is imported once, and a process is forked for each step; nothing is open before the fork. Prints how many
steps there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.integration.outbox.shop import Order, Shop, no_prompt
from umbel.jobs import outbox_post, outbox_prompt

__all__ = ("SCENARIOS",)

_MOMENTS = ("begin", "before_cursor_execute", "rollback", "commit")
_ALIVE_SECONDS = 60
#: The modules, and the functions of this one, whose lines are steps.
_CODE = ("/outbox_prompt.py", "/outbox_relay.py", "/outbox_post.py", "/outbox_watch.py", "/outbox_rows.py")
_SCENES = frozenset({"commit", "commit_async", "relay", "buy", "order"})


class Killer:
    """Kills this process when it reaches its ``step``-th step."""

    def __init__(self, step: int, *, lines: bool) -> None:
        self._left = step
        self._lines = lines
        self._lock = threading.Lock()

    def reach(self, *_: Any, **__: Any) -> None:
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def trace(self, frame: FrameType, what: str, _: Any) -> Any:
        code = frame.f_code
        ours = code.co_filename == __file__ and code.co_name in _SCENES
        return self._line if ours or code.co_filename.endswith(_CODE) else None

    def _line(self, frame: FrameType, what: str, _: Any) -> Any:
        if what == "line":
            self.reach()
        return self._line

    def watch(self) -> None:
        """Begin to count."""
        for moment in _MOMENTS:
            event.listen(Engine, moment, self.reach)
        outbox_post.queue_all = self._around(outbox_post.queue_all)  # type: ignore[attr-defined]
        outbox_prompt.Prompt.publish = self._around(outbox_prompt.Prompt.publish)  # type: ignore[method-assign]
        if self._lines:
            threading.settrace(self.trace)
            sys.settrace(self.trace)

    def _around(self, call: Callable[..., None]) -> Callable[..., None]:
        def step(*arguments: Any) -> None:
            self.reach()
            call(*arguments)
            self.reach()

        return step


def commit(shop: Shop, label: str, watch: Callable[[], None]) -> None:
    """An order and its job, and an order that a savepoint takes back with its job; then the fast way."""
    watch()
    buy(shop, label)
    outbox_prompt._THREADS._threads.shutdown()


def buy(shop: Shop, label: str) -> None:
    with Session(shop.engine) as session, session.begin(), shop.jobs.in_transaction(session):
        session.add(Order(label=label))
        shop.confirm.apply_async((label,), task_id=label)
        with contextlib.suppress(ZeroDivisionError), session.begin_nested():
            session.add(Order(label=f"{label}-lost"))
            shop.confirm.apply_async((label,), task_id=f"{label}-lost")
            session.flush()
            raise ZeroDivisionError


def commit_async(shop: Shop, label: str, watch: Callable[[], None]) -> None:
    """The same with an async session."""

    async def order() -> None:
        async with shop.async_engine() as engine:
            async with AsyncSession(engine) as session, session.begin(), shop.jobs.in_transaction(session):
                session.add(Order(label=label))
                await shop.confirm.aapply_async((label,), task_id=label)
                await session.flush()
            await asyncio.gather(*outbox_prompt._TASKS)

    watch()
    asyncio.run(order())


def relay(shop: Shop, label: str, watch: Callable[[], None]) -> None:
    """What another process has left is relayed."""
    found = shop.relay()
    # What the deaths before this one have left would be more steps each time.
    found.drain()
    with no_prompt():
        shop.order(label)
    watch()
    found.drain()


SCENARIOS = {"commit": commit, "commit_async": commit_async, "relay": relay}


def _die_at(step: int, shop: Shop, name: str, lines: bool) -> None:
    signal.alarm(_ALIVE_SECONDS)
    killer = Killer(step, lines=lines)
    try:
        SCENARIOS[name](shop, f"{name}-{step}", killer.watch)
    except BaseException:
        sys.settrace(None)
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(database: str, broker: str, name: str, how: str = "") -> int:
    """Kill at each step until a process gets through."""
    shop = Shop(database, broker, make=False)
    step = 0
    while True:
        step += 1
        pid = os.fork()
        if pid == 0:
            _die_at(step, shop, name, how == "lines")
        _, status = os.waitpid(pid, 0)
        if not os.WIFSIGNALED(status):
            print(step - 1)
            return os.waitstatus_to_exitcode(status)
        if os.WTERMSIG(status) != signal.SIGKILL:
            print(f"step {step} ended with signal {os.WTERMSIG(status)}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
