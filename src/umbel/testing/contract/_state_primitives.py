"""What jobs' promises stand on, where a state store keeps it."""

from __future__ import annotations

from umbel.state.breakers import Breakers
from umbel.state.checkpoints import Checkpoints
from umbel.state.effects import Effects
from umbel.state.limits import Limits
from umbel.state.locks import Locks
from umbel.state.slots import Slots
from umbel.testing.contract._breakers import BreakerPromises
from umbel.testing.contract._checkpoints import CheckpointPromises
from umbel.testing.contract._effects import EffectPromises
from umbel.testing.contract._limits import LimitPromises
from umbel.testing.contract._locks import LockPromises
from umbel.testing.contract._slots import SlotPromises
from umbel.testing.contract._state_suite import StateSuite

__all__ = ("StatePrimitives",)


class StatePrimitives(
    StateSuite, LockPromises, BreakerPromises, CheckpointPromises, EffectPromises, LimitPromises, SlotPromises
):
    """C29, C31, C32, C33, C34."""

    def locks(self) -> Locks:
        return self.state.locks

    def breakers(self) -> Breakers:
        return self.state.breakers

    def checkpoints(self) -> Checkpoints:
        return self.state.checkpoints

    def effects(self) -> Effects:
        return self.state.effects

    def limits(self) -> Limits:
        return self.state.limits

    def slots(self) -> Slots:
        return self.state.slots
