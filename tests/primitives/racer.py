"""One racer in a process of its own, driven by lines of standard input.

``python -m tests.primitives.racer URL NAME``
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.primitives.race import Racer
from tests.primitives.races import RACES
from tests.primitives.stores import open_store

__all__ = ("main",)


def main(url: str, name: str) -> None:
    """Race when told: a line names the race, its heat, and the file to tell into."""
    store = open_store(url)
    print("ready", flush=True)
    for line in sys.stdin:
        race, *words = line.split()
        if not words:
            print("ready", flush=True)
            continue
        heat, log = words
        try:
            RACES[race].run(store, heat, Racer(name, Path(log)))
        except Exception as error:
            print(f"{type(error).__name__}: {error}".replace("\n", " "), flush=True)
        else:
            print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
