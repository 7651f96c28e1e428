"""Keys that one job has at a time, with RabbitMQ: they are kept in the state store beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from umbel.engine.rabbit_wire import keyed
from umbel.engine.state import Keyed, State
from umbel.engine.store import Outgoing
from umbel.errors import ConfigurationError

__all__ = ("RabbitUniques",)

_Publish = Callable[[Sequence[tuple[Keyed, dict[str, Any]]]], None]


class RabbitUniques:
    """The keys of one state store. ``publish`` sends messages whose jobs are known, or lets those be forgotten."""

    def __init__(self, state: State, publish: _Publish) -> None:
        self._state: Final = state
        self._publish: Final = publish

    def enqueue(self, messages: Sequence[Outgoing]) -> list[str]:
        """Queue each message unless another job has its key; return for each the id of the job that has it."""
        known = [keyed(one) for one in messages]
        holders = self._state.note_unique([one for one, _ in known])
        mine = [each for each, holder in zip(known, holders, strict=True) if each[0].message.task_id == holder]
        if mine:
            self._publish(mine)
        return holders

    def supersede(self, message: Outgoing, longest: float | None = None) -> bool:
        """Raise :exc:`ConfigurationError`: a message that is at the broker cannot be changed there."""
        raise ConfigurationError(
            'RabbitMQ cannot change a message that waits: use Unique(mode="skip") there, or a Redis or embedded broker.'
        )

    def holder(self, name: str) -> str | None:
        """Return the id of the job that has the key ``name``; None if it is free."""
        return self._state.unique_holder(name)
