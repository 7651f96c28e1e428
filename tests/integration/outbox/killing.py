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
import sys
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from tests.integration.outbox.shop import Order, Shop, no_prompt
from tests.killpoints import Killer, die_at_each_step
from umbel.jobs import outbox_post, outbox_prompt

__all__ = ("SCENARIOS",)

#: The modules whose lines are steps.
_CODE = ("/outbox_prompt.py", "/outbox_relay.py", "/outbox_post.py", "/outbox_watch.py", "/outbox_rows.py")


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


#: The functions of this module whose lines are steps.
_SCENES = (commit, commit_async, relay, buy)
SCENARIOS = {"commit": commit, "commit_async": commit_async, "relay": relay}


def _watch(killer: Killer, *, lines: bool) -> None:
    killer.watch_sql()
    killer.watch_calls(outbox_post, "queue_all")
    killer.watch_calls(outbox_prompt.Prompt, "publish")
    if lines:
        killer.watch_lines(*_CODE, functions=_SCENES)


def main(database: str, broker: str, name: str, how: str = "") -> int:
    """Kill at each step until a process gets through."""
    shop = Shop(database, broker, make=False)

    def run(step: int, killer: Killer) -> None:
        SCENARIOS[name](shop, f"{name}-{step}", lambda: _watch(killer, lines=how == "lines"))

    print(die_at_each_step(run))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
