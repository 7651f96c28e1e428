"""Fills a history with a past: jobs of many tasks, queues, owners and outcomes over a week, told as events.

    python -m benchmarks.inside.past --url sqlite:////tmp/history.db --jobs 1000000

They go through the recorder's own writer, so that every table holds what it would hold. Prints some jobs' ids as JSON.
"""

import argparse
import json
import random
import sys
import time
from base64 import b64encode
from collections.abc import Iterator

from umbel.engine import envelope
from umbel.monitor.history import History
from umbel.state.events import Ended, Ends, Event, Logged, Queued

__all__: list[str] = []

_STEP = 5000
_WEEK = 7 * 86_400.0
_TASKS = [f"shop.{noun}.{verb}" for noun in ("mail", "order", "image", "report") for verb in "abcdefghij"]
_QUEUES = ("celery", "email", "images", "reports", "payments", "slow")
_WORKERS = tuple(f"w{number}@host{number % 3}" for number in range(12))
_RELEASES = ("2026.11.1", "2026.11.2", "2026.11.3")
_ERRORS = ("ConnectTimeout", "ValueError", "KeyError", "SMTPServerDisconnected", "IntegrityError", "OSError")


def _payload(number: int, name: str, task: str, draw: random.Random) -> str:
    arguments = [[number, f"someone{number}@example.org"], {"attempt": number % 7}, {}]
    headers = {"lang": "py", "task": task, "id": name, "root_id": name, "parent_id": None, "retries": 0}
    if draw.random() < 0.1:
        headers["umbel_tags"] = [f"customer-{number % 500}"]
    return envelope.encode(
        {
            "body": b64encode(json.dumps(arguments).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": {"body_encoding": "base64", "delivery_tag": name, "priority": 0, "delivery_info": {}},
        }
    )


def _document(name: str, state: str, draw: random.Random) -> str:
    if state == "SUCCESS":
        return json.dumps({"status": state, "result": {"sent": 1}, "traceback": None, "children": [], "task_id": name})
    kind = draw.choice(_ERRORS)
    place = f'  File "/srv/shop/{kind.lower()}.py", line {draw.randrange(4)}, in run\n'
    error = {"exc_type": kind, "exc_message": [f"it was {name}"], "exc_module": "builtins"}
    traceback = f"Traceback (most recent call last):\n{place}{kind}: it was {name}\n"
    return json.dumps({"status": state, "result": error, "traceback": traceback, "children": [], "task_id": name})


def _past(jobs: int, begin: float, draw: random.Random) -> Iterator[list[Event]]:
    for first in range(0, jobs, _STEP):
        told: list[Event] = []
        ends: list[Ended | None] = []
        for number in range(first, min(first + _STEP, jobs)):
            name, at = f"job-{number:07}", begin + _WEEK * number / jobs
            task = _TASKS[min(draw.randrange(len(_TASKS)), draw.randrange(len(_TASKS)))]
            queue = _QUEUES[len(task) * 7 % len(_QUEUES)]
            told.append(Queued(name, queue, 0, at, None, _payload(number, name, task, draw)))
            began = at + draw.expovariate(2.0)
            state = draw.choices(("SUCCESS", "FAILURE", "REVOKED", "RETRY"), (94, 3, 1, 2))[0]
            ended = began + draw.expovariate(5.0)
            ends.append(Ended(name, queue, 0, state, at, began, ended, _document(name, state, draw)))
        worker, release = draw.choice(_WORKERS), _RELEASES[len(_RELEASES) * first // jobs]
        yield [*told, Ends(worker, release, ends)]


def main() -> int:
    """Fill the history that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", required=True)
    parser.add_argument("--jobs", type=int, required=True)
    options = parser.parse_args()
    history, draw, after = History(options.url), random.Random(7), None
    for place, events in enumerate(_past(options.jobs, time.time() - _WEEK, draw)):
        history.write("past", Logged(str(place), tuple(events)), after=after)
        after = str(place)
    history.close()
    print(json.dumps([f"job-{draw.randrange(options.jobs):07}" for _ in range(50)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
