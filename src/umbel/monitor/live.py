"""Asking workers what a job is doing just now (:mod:`umbel.engine.live`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from umbel.engine.stacks import Frame, Stack
from umbel.monitor.whereabouts import Live
from umbel.state.events import Line

if TYPE_CHECKING:
    from umbel.app import Umbel

__all__ = ("ask_worker", "ask_workers")

#: So long an answer is waited for.
_SECONDS: Final = 1.0


def ask_worker(app: Umbel, task_id: str, worker: str) -> Live | None:
    """Return what ``worker`` says of a job; None if it says nothing within a second, or has it no more."""
    return next((one for one in _answers(app, task_id, [worker]).values() if one is not None), None)


def ask_workers(app: Umbel, task_id: str, workers: Sequence[str]) -> tuple[Live | None, bool]:
    """Return what the worker says that has the job, and whether all of them have answered."""
    answers = _answers(app, task_id, workers) if workers else {}
    found = next((one for one in answers.values() if one is not None), None)
    return found, set(workers) <= answers.keys()


def _answers(app: Umbel, task_id: str, workers: Sequence[str]) -> dict[str, Live | None]:
    replies = app.control.broadcast(
        "live",
        arguments={"task_id": task_id},
        destination=list(workers),
        reply=True,
        timeout=_SECONDS,
        limit=len(workers),
    )
    return {name: _live(name, said) for reply in replies or () for name, said in reply.items()}


def _live(worker: str, said: Any) -> Live | None:
    if not isinstance(said, dict) or not said.get("here"):
        return None
    try:
        stack = msgspec.convert(said.get("stack") or {"frames": ()}, Stack)
        lines = msgspec.convert(said.get("lines") or (), tuple[Line, ...])
    except msgspec.ValidationError:
        stack, lines = Stack(()), ()
    frames: tuple[Frame, ...] = stack.frames
    return Live(
        worker=worker,
        running=said.get("state") == "running",
        since=said.get("since"),
        kind=said.get("kind"),
        frames=frames,
        omitted=stack.omitted,
        waits=stack.waits,
        silent=bool(said.get("silent")),
        lines=lines,
    )
