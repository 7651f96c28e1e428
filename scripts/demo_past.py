"""A day of the demo shop's past, as its workers would have told it: what charts and lists are full of."""

from __future__ import annotations

import json
import random
import time
import traceback
from collections.abc import Iterator

from umbel import Umbel
from umbel.engine.execution import publishing_into
from umbel.engine.store import Outgoing
from umbel.state.events import Ended, Ends, Event, Logged, Queued

__all__ = ("tell_the_past",)

_SEED = 20
_JOBS = 2400
_DAY = 86_400.0
_AT_A_TIME = 300
#: Task, its weight, seconds that it waits and runs about, and which part of its tries fails.
_KINDS = (
    ("shop.send_mail", 10, 0.2, 0.06, 0.01),
    ("shop.charge", 6, 0.4, 0.3, 0.08),
    ("shop.resize", 5, 1.5, 0.8, 0.0),
    ("shop.import_rows", 3, 4.0, 2.0, 0.03),
    ("shop.report", 1, 9.0, 40.0, 0.05),
    ("shop.statistics", 2, 0.05, 0.02, 0.0),
)


def tell_the_past(jobs: Umbel) -> None:
    """Write it into the history of ``jobs``."""
    events = sorted(_events(jobs, random.Random(_SEED), time.time() - 60), key=lambda pair: pair[0])
    for number in range(0, len(events), _AT_A_TIME):
        told = tuple(event for _, event in events[number : number + _AT_A_TIME])
        after = jobs.history.cursor("past")
        jobs.history.write("past", Logged(f"{number + 1}-0", told), after=after)


def _events(jobs: Umbel, chance: random.Random, now: float) -> Iterator[tuple[float, Event]]:
    for number in range(_JOBS):
        name, _, waits, runs, fails = chance.choices(_KINDS, [kind[1] for kind in _KINDS])[0]
        # More by day than by night.
        at = now - _DAY * (1 - chance.betavariate(2.0, 1.6))
        message = _message(jobs, name, number)
        task_id = str(message.task_id)
        yield at, Queued(task_id, message.queue, message.priority, at, None, message.payload)
        started = at + chance.lognormvariate(0, 0.7) * waits
        ended = started + chance.lognormvariate(0, 0.5) * runs
        if ended >= now:
            continue
        failed = chance.random() < fails
        release = "2.8.0" if started < now - 0.55 * _DAY else "2.9.1" if started < now - 0.2 * _DAY else "2.10.0"
        state = "FAILURE" if failed else "SUCCESS"
        end = Ended(task_id, message.queue, 0, state, 0.0, started, ended, _document(task_id, name, number, failed))
        yield ended, Ends(f"shop-{number % 3 + 1}@web{number % 2 + 1}", release, [end])


def _message(jobs: Umbel, name: str, number: int) -> Outgoing:
    arguments = {
        "shop.send_mail": (number, f"customer{number}@example.org"),
        "shop.resize": (f"picture-{number}.jpg", 640),
        "shop.report": ("2026-10",),
        "shop.statistics": (),
    }
    messages: list[Outgoing] = []
    with publishing_into(messages):
        jobs.tasks[name].apply_async(arguments.get(name, (number,)))
    return messages[0]


def _document(task_id: str, name: str, number: int, failed: bool) -> str:
    if not failed:
        return json.dumps({"status": "SUCCESS", "result": number, "traceback": None, "task_id": task_id})
    kind = "CardDeclined" if name == "shop.charge" else "TimeoutError"
    said = f"the card of order {number} was declined" if name == "shop.charge" else "the other side did not answer"
    error = {
        "exc_type": kind,
        "exc_message": [said],
        "exc_module": "demo_shop" if kind == "CardDeclined" else "builtins",
    }
    frames = traceback.format_list([("demo_shop.py", 40, name.rpartition(".")[2], "raise")])
    trace = "Traceback (most recent call last):\n" + "".join(frames) + f"{kind}: {said}\n"
    return json.dumps({"status": "FAILURE", "result": error, "traceback": trace, "task_id": task_id})
