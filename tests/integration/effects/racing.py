"""Eight processes cause the same effects at the same time: ``python -m tests.integration.effects.racing URL FOLDER``.

Prints what each of them was given, one JSON line a process. ``URL``: an engine's, or a state store's beside another
broker.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.killpoints import forked_together
from umbel.engine.protection import Protection
from umbel.engine.registry import open_engine, open_state
from umbel.jobs.doubt import EffectPolicy
from umbel.jobs.effects import Desk, Effect
from umbel.jobs.locks import Keeper

__all__ = ("KEYS", "PROCESSES")

PROCESSES = 8
KEYS = 20


def race(url: str, folder: Path, number: int) -> None:
    store: Any = open_state(url) if url.startswith("postgres") else open_engine(url)
    desk = Desk(Keeper(lambda: store.effects, "effect"), Protection())
    charges = os.open(folder / "charges", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def charge(key: str) -> int:
        os.write(charges, f"{key}\n".encode())
        return number

    keys = [f"named:{key}" for key in range(KEYS)]
    given = {key: Effect(desk, key, EffectPolicy(), wait=60.0).call(charge, key) for key in keys}
    (folder / f"given-{number}").write_text(json.dumps(given))
    store.close()


if __name__ == "__main__":
    place = Path(sys.argv[2])
    ends = forked_together([lambda number=number: race(sys.argv[1], place, number) for number in range(PROCESSES)])
    sys.exit(any(ends))
