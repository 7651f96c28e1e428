"""The contract suite that every engine passes.

    from umbel.testing.contract import EngineContract

    class TestMyEngine(EngineContract):
        @pytest.fixture(autouse=True)
        def _store(self, tmp_path):
            self.url = f"sqlite:///{tmp_path}/jobs.db"

A test class inherits :class:`EngineContract` and gives each test the URL of an empty store of its own. Processes that
hold messages are real ones, and they die by SIGKILL. The tests' names tell the lines of the contract (C14, C18…).
:class:`StateContract` is the same for a state store beside a broker.
"""

from __future__ import annotations

from umbel.testing.contract._batches import EngineBatches
from umbel.testing.contract._breakers import EngineBreakers
from umbel.testing.contract._cancelling import Cancelling
from umbel.testing.contract._checkpoints import EngineCheckpoints
from umbel.testing.contract._crashes import Crashes
from umbel.testing.contract._effects import EngineEffects
from umbel.testing.contract._events import Events
from umbel.testing.contract._fair import Fairness
from umbel.testing.contract._leases import Leases
from umbel.testing.contract._letters import Letters
from umbel.testing.contract._limits import EngineLimits
from umbel.testing.contract._locks import EngineLocks
from umbel.testing.contract._moving import Moving
from umbel.testing.contract._operating import Operating
from umbel.testing.contract._queueing import Queueing
from umbel.testing.contract._schedules import Schedules
from umbel.testing.contract._settling import Settling
from umbel.testing.contract._sharing import Sharing
from umbel.testing.contract._slots import EngineSlots
from umbel.testing.contract._state_store import StateContract
from umbel.testing.contract._states import States
from umbel.testing.contract._superseding import Superseding

__all__ = ("EngineContract", "StateContract")


class EngineContract(
    Queueing,
    Leases,
    Crashes,
    Settling,
    States,
    Cancelling,
    Operating,
    Letters,
    Moving,
    Sharing,
    Schedules,
    Superseding,
    EngineLocks,
    EngineBreakers,
    EngineBatches,
    EngineCheckpoints,
    EngineEffects,
    EngineLimits,
    EngineSlots,
    Events,
    Fairness,
):
    """All that an engine promises. Set ``url`` before each test, or override ``open_engine``."""
