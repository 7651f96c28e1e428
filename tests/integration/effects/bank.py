"""An application that charges at a gateway: a file in which each charge is one line, whoever wrote it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery.app.trace import build_tracer
from sqlalchemy import text

from umbel import Done, Idempotent, NotDone, Settings, Umbel, current_effect
from umbel.jobs.database_effects_table import create_effects
from umbel.jobs.database_url import synchronous

__all__ = ("BODIES", "Bank")


class Bank:
    """The application in this process; ``url`` is that of its messages, ``database`` its own."""

    def __init__(self, url: str, folder: Path, *, database: str | None = None, **settings: Any) -> None:
        self.folder = folder
        self.charges = folder / "charges"
        own = database or f"sqlite:///{folder / 'bank.db'}"
        self.jobs = Umbel("bank", broker=url, settings=Settings(database_url=own, **settings), set_as_current=False)
        self.tasks = {name: self._task(name, body, BODIES[name][1]) for name, (body, _) in BODIES.items()}

    def _task(self, name: str, body: Any, options: dict[str, Any]) -> Any:
        task = self.jobs.task(name=f"bank.{name}", bind=True, shared=False, **options)(body)
        task._bank = self
        return task

    def make_tables(self) -> None:
        from sqlalchemy import create_engine

        engine = create_engine(synchronous(str(self.jobs.settings.database_url)))
        create_effects(engine)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE invoice (label TEXT NOT NULL)"))
        engine.dispose()

    def charge(self, label: str) -> None:
        """The effect: there or not, and nothing in between."""
        fd = os.open(self.charges, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{label}\n".encode())
        os.close(fd)

    def charged(self, label: str) -> int:
        """How often."""
        return self.charges.read_text().splitlines().count(label) if self.charges.exists() else 0

    def invoices(self) -> list[str]:
        with self.jobs.session() as session:
            return list(session.scalars(text("SELECT label FROM invoice ORDER BY label")))

    def work(self, name: str, task_id: str, label: str) -> tuple[str, Any]:
        """Run a job as a worker does; return its state and what it has left."""
        task = self.tasks[name]
        request = {"id": task_id, "is_eager": False, "delivery_info": {}, "retries": 0, "headers": {}}
        _, info, _, _ = build_tracer(task.name, task, app=self.jobs)(task_id, (label,), {}, request)
        if info is not None and info.state != "SUCCESS":
            return str(info.state), info.retval
        return "SUCCESS", self.jobs.AsyncResult(task_id).result

    def close(self) -> None:
        self.jobs.close_databases()
        self.jobs.engine.close()
        self.jobs.close()


def find(key: str, label: str) -> Done | NotDone:
    """What the gateway says when it is asked by the key."""
    return Done(f"charged {label}") if _bank().charged(label) else NotDone()


def _bank() -> Any:
    from celery import current_task

    return current_task._bank


def pay(self: Any, label: str) -> str:
    before = f"charged {label}"
    self._bank.charge(label)
    after = before
    return after


async def apay(self: Any, label: str) -> str:
    before = f"charged {label}"
    self._bank.charge(label)
    after = before
    return after


def once(self: Any, label: str) -> str:
    """The effect is asked for by its key, and the gateway keeps what it knows only once."""
    key = current_effect().key
    assert key
    if not self._bank.charged(label):
        self._bank.charge(label)
    return f"charged {label}"


def invoice(self: Any, label: str) -> str:
    with self._bank.jobs.session() as session:
        session.execute(text("INSERT INTO invoice (label) VALUES (:label)").bindparams(label=label))
        session.flush()
    return f"charged {label}"


async def ainvoice(self: Any, label: str) -> str:
    async with self._bank.jobs.async_session() as session:
        await session.execute(text("INSERT INTO invoice (label) VALUES (:label)").bindparams(label=label))
        await session.flush()
    return f"charged {label}"


def block(self: Any, label: str) -> Any:
    with self._bank.jobs.idempotent(f"block-{label}", begun=False) as effect:
        if not effect.done:
            before = f"charged {label}"
            effect.begin()
            self._bank.charge(label)
            effect.complete(before)
    return effect.result


async def ablock(self: Any, label: str) -> Any:
    async with self._bank.jobs.idempotent(f"block-{label}") as effect:
        if not effect.done:
            before = f"charged {label}"
            self._bank.charge(label)
            effect.result = before
    return effect.result


BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "hold": (pay, {"idempotent": Idempotent(key="label")}),
    "ahold": (apay, {"idempotent": Idempotent(key="label")}),
    "ask": (pay, {"idempotent": Idempotent(key="label", ask=find)}),
    "repeat": (once, {"idempotent": Idempotent(key="label", uncertain="repeat")}),
    "invoice": (invoice, {"idempotent": Idempotent(key="label", transaction=True)}),
    "ainvoice": (ainvoice, {"idempotent": Idempotent(key="label", transaction=True)}),
    "block": (block, {}),
    "ablock": (ablock, {}),
}
