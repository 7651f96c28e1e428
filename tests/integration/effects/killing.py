"""Dies at every step of a job whose effect happens once, and lets the job run again after each death.

``python -m tests.integration.effects.killing URL FOLDER DATABASE BODY [lines]``

A step is each line of the job's body, and the moments before and after each word with the store, or each statement in
the database; with ``lines`` each line of what stands around the body besides. Writes for each step what the second
execution has ended with, a line of JSON, and prints how many were killed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.integration.effects.bank import BODIES, Bank, find
from tests.killpoints import Killer, die_at_each_step

#: The modules whose lines are steps.
_CODE = ("/jobs/effects.py", "/jobs/idempotency.py", "/jobs/database_effects.py", "/jobs/sessions.py")
_WORDS = ("claim", "begin", "complete", "release", "doubt")


def _watch(bank: Bank, name: str, killer: Killer, *, lines: bool) -> None:
    if "invoice" in name:
        killer.watch_sql()
    else:
        killer.watch_calls(bank.jobs.engine.effects, *_WORDS)
    killer.watch_lines(*(_CODE if lines else ()), functions=(BODIES[name][0], find))


def main(url: str, folder: str, database: str, name: str, how: str = "") -> int:
    """Kill at each step until a process gets through."""
    bank = Bank(url, Path(folder), database=database)

    def run(step: int, killer: Killer) -> None:
        _watch(bank, name, killer, lines=how == "lines")
        bank.work(name, f"{name}-{step}", f"{name}-{step}")

    def then(step: int) -> None:
        state, left = bank.work(name, f"{name}-{step}", f"{name}-{step}")
        with (bank.folder / "ends").open("a") as ends:
            ends.write(
                json.dumps([f"{name}-{step}", state, left if state == "SUCCESS" else type(left).__name__]) + "\n"
            )

    print(die_at_each_step(run, then))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
