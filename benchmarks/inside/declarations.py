"""What the no-op declares when the cost of one declaration is measured (P9); another one is a line below.

A declaration that this version of Umbel does not have is left out.
"""

import base64
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import umbel

__all__ = ["DECLARATIONS", "DECLARE", "KEYS", "Declaration", "declared", "known"]

#: The variable that names it.
DECLARE = "BENCH_DECLARE"
_KEY = base64.b64encode(bytes(range(32))).decode()
#: Sensitive arguments are encrypted, and webhooks signed, by keys from the environment.
KEYS = {"UMBEL_PAYLOAD_KEYS": f"bench:{_KEY}", "UMBEL_WEBHOOK_SECRET": f"whsec_{_KEY}"}

_Fill = Callable[[Any, Iterable[int]], None]


@dataclass(frozen=True, slots=True)
class Declaration:
    """One of them: the task's options, and roughly how many such jobs a second are drained.

    ``fill``: how a task is dispatched many times, where that is not ``enqueue_many``.
    """

    options: Callable[[], dict[str, Any]]
    pace: int = 8000
    fill: _Fill | None = None


def _hear(job: object) -> None:
    """Hear of a job."""


def _of_a_batch() -> dict[str, Any]:
    """Nothing, where there are batches: it is the dispatch that makes a member."""
    assert umbel.Batch
    return {}


def _as_a_batch(task: Any, numbers: Iterable[int]) -> None:
    with task.app.batch("bench") as batch:
        batch.add_many(task, numbers)


#: Keys are a job's own, so that none waits for another: what is measured is what asking costs.
DECLARATIONS: dict[str, Declaration] = {
    "none": Declaration(dict, 16_000),
    "retry": Declaration(lambda: {"retry": umbel.Retry(3)}, 14_000),
    "unique": Declaration(lambda: {"unique": umbel.Unique(for_="1h", key="number")}, 14_000),
    "overlap": Declaration(lambda: {"overlap": umbel.WithoutOverlap(key="number")}, 1500),
    "breaker": Declaration(lambda: {"breaker": umbel.Breaker()}, 3000),
    "sensitive": Declaration(lambda: {"sensitive": ("number",)}, 5000),
    "limits": Declaration(lambda: {"limits": [umbel.RateLimit("1000000/s")]}, 2000),
    "bucket": Declaration(lambda: {"limits": [umbel.TokenBucket("1000000/s", burst=100_000)]}, 2000),
    "concurrency": Declaration(lambda: {"limits": [umbel.Concurrency(1, key="number")]}, 1500),
    "fair": Declaration(lambda: {"fair": umbel.Fair(key=lambda number, **_: number % 100)}, 8000),
    "idempotent": Declaration(lambda: {"idempotent": umbel.Idempotent(key="number")}, 1500),
    "hooks": Declaration(lambda: {"hooks": umbel.Hooks(before=_hear, success=_hear)}, 8000),
    # Of failures, so that none is sent: what one that is sent costs is its receiver's time.
    "webhook": Declaration(lambda: {"webhook": umbel.Webhook("https://partner.invalid/", on="failure")}, 8000),
    "batch": Declaration(_of_a_batch, 8000, fill=_as_a_batch),
}


def known() -> dict[str, Declaration]:
    """Those that this version has."""
    return {name: one for name, one in DECLARATIONS.items() if _is_known(one)}


def declared() -> Declaration:
    """The one that the environment names."""
    return DECLARATIONS[os.environ.get(DECLARE, "none")]


def _is_known(one: Declaration) -> bool:
    try:
        one.options()
    except AttributeError:
        return False
    return True
