"""``umbel top``: queues, workers, tasks and failures on the terminal, as they change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from umbel.cli.console import remark
from umbel.cli.invocation import Invocation, app_options, pass_invocation
from umbel.cli.operating import operating

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.cli.top_view import Picture, View
    from umbel.engine.store import QueueStatus
    from umbel.monitor.actors import Actor
    from umbel.monitor.history import History
    from umbel.monitor.operations import Operations

__all__ = ("top",)


@click.command()
@click.option(
    "--every", type=click.FloatRange(0.2, 60), default=1.0, show_default=True, help="Look again after so many seconds."
)
@click.option("--once", is_flag=True, help="Print it once, and end.")
@app_options
@pass_invocation
def top(invocation: Invocation, every: float, once: bool) -> None:
    """Watch queues, workers, tasks and failures.

    Keys: q quits, s sorts by something else, the arrows mark a queue, p pauses or resumes that, space freezes the view.
    """
    from rich.console import Console

    from umbel.cli.top_view import View, draw, picture

    app = invocation.umbel()
    engine, history = app.engine, app.where.history
    if once:
        Console().print(draw(picture(engine, history), View()))
        return
    _watch(app, history, every)


def _watch(app: Umbel, history: History | None, every: float) -> None:
    # The screen is taken: what there is to say is said at the end.
    said: list[str] = []
    do, me = operating(app, said.append)
    try:
        _show(app, history, every, lambda queue: _turn(do, me, queue))
    finally:
        for one in said:
            remark(one)


def _show(app: Umbel, history: History | None, every: float, turn: Callable[[QueueStatus | None], None]) -> None:
    from rich.live import Live

    from umbel.cli.keyboard import keys
    from umbel.cli.top_view import View, draw, picture

    view, engine = View(), app.engine
    seen = picture(engine, history)
    with Live(draw(seen, view), screen=True, auto_refresh=False) as live, keys() as key:
        due = time.monotonic() + every
        while True:
            pressed = key(due - time.monotonic())
            if pressed == "q":
                return
            if pressed == "p":
                turn(view.queue(seen))
            view = _moved(view, seen, pressed)
            if pressed in (None, "p") and not view.frozen:
                seen = picture(engine, history)
            if pressed is None:
                due = time.monotonic() + every
            live.update(draw(seen, view), refresh=True)


def _turn(do: Operations, me: Actor, queue: QueueStatus | None) -> None:
    """Pause a queue, or resume it."""
    if queue is not None:
        (do.queues.resume if queue.paused else do.queues.pause)(queue.name, by=me)


def _moved(view: View, seen: Picture, pressed: str | None) -> View:
    match pressed:
        case "s":
            return view.sorted_on()
        case "space":
            return replace(view, frozen=not view.frozen)
        case "up" | "k":
            return replace(view, marked=max(0, view.marked - 1))
        case "down" | "j":
            return replace(view, marked=min(len(seen.queues) - 1, view.marked + 1))
        case _:
            return view
