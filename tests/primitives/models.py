"""What the models of the primitives share: a store whose time they move, and spans that never end at one moment.

``MODEL_EXAMPLES=1000 pytest tests/primitives`` is the long form.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Final, Protocol

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.primitives.clocks import Clock, marks
from tests.primitives.stores import Store

__all__ = ("SPANS", "STEPS", "Primitive", "Scene", "hold_against")

#: How long something lasts, and how much time passes: an end and a look are never less than minutes apart, so that the
#: seconds that really pass do not matter.
SPANS: Final = st.sampled_from([1500, 2500, 4500])
STEPS: Final = st.sampled_from([1000, 2000, 3000])

_EXAMPLES: Final = int(os.environ.get("MODEL_EXAMPLES", "40"))


@dataclass(frozen=True, slots=True)
class Scene:
    """A store, and the clock by which it lets things end."""

    store: Store
    clock: Clock


class Primitive(RuleBasedStateMachine):
    """One primitive of a store beside a plain model of it. Names are those of this example alone."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.store = scene.store
        self.clock = scene.clock
        self.now = 0
        self.mark = next(marks)

    def named(self, name: str) -> str:
        """Return ``name`` as this example has it in the store."""
        return f"{self.mark}-{name}"

    def advance(self, seconds: int) -> None:
        """Let time pass, for the store and the model."""
        self.clock.advance(seconds)
        self.now += seconds


class _Machine(Protocol):
    def __call__(self, scene: Scene) -> Any: ...


def hold_against(machine: _Machine, scene: Scene) -> None:
    """Let hypothesis look for an order of steps after which the store and the model disagree."""
    run_state_machine_as_test(
        lambda: machine(scene),
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            database=None,
        ),
    )
