"""How a test reaches the tasks of its world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.acceptance.semantics.trail import Trail
from tests.acceptance.semantics.waiting import DEADLINE, until
from tests.acceptance.semantics.worlds import World

__all__ = ("Jobs", "failure", "outcome", "reaches")


@dataclass(frozen=True, slots=True)
class Jobs:
    """``jobs.add`` is the task ``sync.add`` or ``async.add`` of the world's application."""

    world: World
    flavour: str

    def __getattr__(self, name: str) -> Any:
        return self.world.app.tasks[self.named(name)]

    @property
    def trail(self) -> Trail:
        return self.world.trail

    def named(self, name: str) -> str:
        return f"{self.flavour}.{name}"


def outcome(result: Any) -> Any:
    """The value that a job returned."""
    return result.get(timeout=DEADLINE)


def failure(result: Any) -> BaseException:
    """The exception with which a job failed."""
    error = result.get(timeout=DEADLINE, propagate=False)
    assert isinstance(error, BaseException), f"the job did not fail, it returned {error!r}"
    return error


def reaches(result: Any, state: str) -> None:
    """Wait until the job is in ``state``."""
    until(lambda: result.state == state, f"job {result.id} is {state}, not {result.state}")
