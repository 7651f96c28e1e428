"""Python's garbage collector in a worker: what start-up made is not looked through again and again.

Jobs of microseconds make many short-lived objects, each some hundred of which make the collector look; and now and
then it walks the whole application. That took a quarter of a quick job's time. What is there once the worker is ready
stays anyway: it is set apart (``gc.freeze``), and young objects are looked at less often. Cycles are still collected.
An application that has chosen thresholds of its own keeps them.
"""

from __future__ import annotations

import gc
from typing import Final

__all__ = ("settle_down",)

#: Young objects that make the collector look: about as many as a few hundred jobs in hand have.
_YOUNG: Final = 20_000
#: What Python begins with, by version; anything else is the application's own choice.
_BEGINS_WITH: Final = (700, 2000)


def settle_down() -> None:
    """Set apart what has been made so far. Call it once, when the worker is ready."""
    young, *older = gc.get_threshold()
    gc.collect()
    gc.freeze()
    if young in _BEGINS_WITH:
        gc.set_threshold(_YOUNG, *older)
