"""What is known of a batch, and how many of its members may fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from umbel.engine.batches import ANY, MILLION, Tally
from umbel.errors import ConfigurationError

__all__ = ("BatchState", "BatchStatus", "allowance", "status_of")

_MOST: Final = 1_000_000_000_000


class BatchState(StrEnum):
    """Where a batch is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    #: More members have not succeeded than may; a replay of them may mend it.
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch as it is now. Times are unix seconds; ``finished`` is when its last member ended.

    ``cancelled`` counts the members that were cancelled, expired or purged.
    """

    id: str
    name: str
    state: BatchState
    total: int
    done: int
    failed: int
    cancelled: int
    pending: int
    allow_failures: str
    #: Whether its block has been left: until then more members are to come.
    closed: bool
    created: float
    updated: float
    finished: float | None = None
    owner: str | None = None

    @property
    def fraction(self) -> float:
        """How many of the members that are known have ended, from 0.0 to 1.0."""
        return 1.0 - self.pending / self.total if self.total else float(self.closed)

    def as_dict(self) -> dict[str, Any]:
        """Return the status as plain values that any JSON encoder takes, without the owner."""
        names = ("id", "name", "total", "done", "failed", "cancelled", "pending", "allow_failures", "closed")
        times = ("created", "updated", "finished")
        found: dict[str, Any] = {name: getattr(self, name) for name in (*names, *times)}
        return {**found, "state": self.state.value}


def status_of(tally: Tally) -> BatchStatus:
    """Return what is to be told of a batch."""
    return BatchStatus(
        id=tally.id,
        name=tally.name,
        state=_state(tally),
        total=tally.total,
        done=tally.done,
        failed=tally.failed,
        cancelled=tally.gone,
        pending=tally.pending,
        allow_failures=_shown(tally.allowed, tally.share),
        closed=tally.closed,
        created=tally.created,
        updated=tally.updated,
        finished=tally.finished,
        owner=tally.owner,
    )


def _state(tally: Tally) -> BatchState:
    if tally.cancelled:
        return BatchState.CANCELLED
    if tally.finished is None:
        return BatchState.RUNNING
    return BatchState.FAILED if tally.beyond else BatchState.SUCCEEDED


def _shown(allowed: int, share: bool) -> str:
    if allowed == ANY:
        return "any"
    return f"{allowed * 100 / MILLION:g}%" if share else str(allowed)


def allowance(value: Any, place: str) -> tuple[int, bool]:
    """Return how many members may fail, and whether that is a share of a million. Raises :exc:`ConfigurationError`."""
    if value is True or value == "any":
        return ANY, False
    if isinstance(value, int) and 0 <= value <= _MOST:
        return int(value), False
    share = _share(value)
    if share is None or not 0 <= share <= 1:
        raise ConfigurationError(
            f"{place}: allow_failures={value!r} is no allowance: write a number such as 5, a share such as 0.1 or "
            "'10%', or True for any number."
        )
    return round(share * MILLION), True


def _share(value: Any) -> float | None:
    if isinstance(value, float):
        return value
    if isinstance(value, str) and value.endswith("%"):
        try:
            return float(value[:-1]) / 100
        except ValueError:
            return None
    return None
