"""An application with batches whose jobs are run here, one after the other, as a worker would: for kill points.

What a worker's threads would do at some moment is done in one order here, so that a process can be ended at each line
of it: a job's body, its batch's code, and what settles it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from celery._state import _task_stack
from celery.app.task import Context

from umbel import Umbel, resumable
from umbel.engine import envelope
from umbel.engine.batches import DONE
from umbel.engine.execution import Execution
from umbel.engine.flusher import Flusher
from umbel.engine.job import current_job
from umbel.engine.store import Delivery, Record, Settled

__all__ = ("Bench",)

_QUEUE = "celery"


class Bench:
    """One application on one store. ``effects`` is a file of lines: what happened, and in which job."""

    def __init__(self, url: str, effects: Path) -> None:
        self.app = Umbel("bench", broker=url, set_as_current=False)
        #: One fleet, whatever dies.
        self.app.__dict__["_sweeper"] = "bench"
        self.effects = effects
        self.tasks = self._declare()
        self.app.finalize()

    @property
    def engine(self) -> Any:
        return self.app.engine

    # -- the jobs ---------------------------------------------------------------------------------------------

    def _declare(self) -> dict[str, Any]:
        app = self.app

        @app.task(name="leaf", shared=False)
        def leaf(word: str) -> None:
            self.tell("leaf", word, leaf.request.id)

        @app.task(name="branch", shared=False)
        def branch(word: str) -> None:
            """A member that adds others."""
            batch = app.current_batch()
            assert batch is not None
            batch.add(leaf.s(f"{word}.1"), leaf.s(f"{word}.2"))
            batch.add_many(leaf, [f"{word}.3", f"{word}.3"])
            self.tell("branch", word, branch.request.id)

        @app.task(name="branch_async", shared=False)
        async def branch_async(word: str) -> None:
            batch = app.current_async_batch()
            assert batch is not None
            await batch.add(leaf.s(f"{word}.1"))
            await asyncio.sleep(0)
            await batch.add_many(leaf, [f"{word}.2"])
            self.tell("branch", word, branch_async.request.id)

        @app.task(name="called", shared=False)
        def called(batch: str, kind: str, label: str) -> None:
            self.tell("called", kind, label, batch, called.request.id)

        @app.task(name="opener", shared=False)
        def opener(label: str) -> None:
            self.open(label)

        @app.task(name="rows", shared=False)
        def rows(label: str, count: int, every: int) -> None:
            for number in resumable(range(count), every=every):
                self.tell("row", label, number)

        @app.task(name="rows_async", shared=False)
        async def rows_async(label: str, count: int, every: int) -> None:
            async for number in resumable(range(count), every=every):
                await asyncio.sleep(0)
                self.tell("row", label, number)

        @app.task(name="part", shared=False)
        def part(word: str) -> str:
            self.tell("part", word, part.request.id)
            return word

        @app.task(name="gathered", shared=False)
        def gathered(words: list[str], label: str) -> None:
            self.tell("gathered", label, words, gathered.request.id)

        declared = (leaf, branch, branch_async, called, opener, rows, rows_async, part, gathered)
        return {str(task.name): task for task in declared}

    def open(self, label: str) -> None:
        """Open a batch and add to it: the code that is killed."""
        leaf, branch, called = (self.tasks[name] for name in ("leaf", "branch", "called"))
        with self.app.batch(
            label, then=called.s("then", label), catch=called.s("catch", label), finally_=called.s("finally", label)
        ) as batch:
            batch.add(branch.s(f"{label}.b"))
            batch.add_many(leaf, [f"{label}.1", f"{label}.2"])
            batch.add(self.tasks["branch_async"].s(f"{label}.a"))

    def tell(self, *words: object) -> None:
        with self.effects.open("a") as file:
            file.write(json.dumps(words) + "\n")

    def told(self, *words: object) -> list[list[Any]]:
        """The effects that begin with ``words``."""
        if not self.effects.exists():
            return []
        lines = [json.loads(line) for line in self.effects.read_text().splitlines()]
        return [line for line in lines if line[: len(words)] == list(words)]

    # -- running them -----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Run what waits until nothing does."""
        self.engine.ensure_lease([_QUEUE])
        while found := self.engine.fetch({_QUEUE: 0}, 3):
            for delivery in found:
                self.run(delivery)

    def run(self, delivery: Delivery) -> None:
        """Run one job, which succeeds."""
        raw = envelope.decode(delivery.payload)
        headers = raw["headers"]
        args, kwargs, embed = envelope.decode_body(raw["body"])
        task = self.app.tasks[headers["task"]]
        execution = Execution(delivery, _Direct(self.app), headers)  # type: ignore[arg-type]
        own = {name: headers[name] for name in headers if name.startswith("umbel_")}
        known = {"args": args, "kwargs": kwargs, "chord": (embed or {}).get("chord")}
        context = Context({**headers, **known, "called_directly": False, "headers": own})
        task.request_stack.push(context)
        _task_stack.push(task)
        current_job.set(None)
        try:
            with execution.current():
                result = task.run(*args, **kwargs)
                self.app.backend.on_chord_part_return(context, "SUCCESS", result)
        finally:
            _task_stack.pop()
            task.request_stack.pop()
        meta = json.dumps({"status": "SUCCESS", "result": None})
        execution.record(Record(str(delivery.task_id), "SUCCESS", True, meta))
        execution.ended(DONE)
        execution.settle("ack")

    def recover(self) -> None:
        """Do what a fleet does after a kill: give back, run, and look after batches, until nothing is left to do."""
        self.engine.reap()
        self.drain()
        self.app.sweep_batches(quiet=-1.0)
        self.drain()


class _Direct:
    """Settles at once, in this thread: chords in two steps, as workers do."""

    release = None
    discreet = False
    tells = False

    def __init__(self, app: Umbel) -> None:
        self._flusher = Flusher(app.engine)
        self._flusher.on_chord = app.backend.complete_chord

    def claim(self, task_id: str) -> None:
        """No passing states are kept here."""

    def submit(self, entry: Settled) -> None:
        assert self._flusher._settle([entry]) == []
