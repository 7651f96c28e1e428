"""Dies at every line of putting a job back, each time in a process of its own, and at a job of its own.

``python -m tests.integration.monitor.put_back_killing BROKER FOLDER`` prints how many deaths there were. After each of
them two more processes put the job back, one after the other: then it waits exactly once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration.monitor.test_put_back import QUEUE, Shop
from tests.killpoints import Killer, die_at_each_step, forked
from umbel.monitor import where as where_module
from umbel.monitor.where import WhereIs

_MOST = 40


def _lose(broker: str, folder: Path) -> None:
    shop = Shop(broker, folder)
    for number in range(1, _MOST + 1):
        shop.app.send_task("shop.add", (1, 2), task_id=f"job-{number}")
    shop.record()
    shop.engine.purge(QUEUE)
    shop.close()


def _put_back(broker: str, folder: Path, task_id: str, killer: Killer) -> None:
    shop = Shop(broker, folder, records=False)
    killer.watch_lines(functions=[WhereIs.put_back, type(shop.engine).enqueue, type(shop.engine).begin_enqueue])
    shop.app.where.put_back(task_id)
    sys.settrace(None)
    shop.close()


def _count(broker: str, folder: Path, task_id: str) -> None:
    shop = Shop(broker, folder)
    for _ in range(2):
        shop.app.where.put_back(task_id)
        shop.record()
    found = [one.task_id for one in shop.engine.take(QUEUE, 100)]
    assert found == [task_id], found
    shop.close()


def _warm(broker: str, folder: Path) -> None:
    """Do it once elsewhere, and close all: what is imported and compiled for it each process then has."""
    folder.mkdir()
    elsewhere = f"{broker.rpartition('/')[0]}/1" if broker.startswith("redis") else f"sqlite:///{folder / 'jobs.db'}"
    _lose(elsewhere, folder)
    _count(elsewhere, folder, "job-1")


def main(broker: str, folder: Path) -> int:
    """Kill at each line until a process gets through."""
    where_module._LOST_SECONDS = 0.0  # type: ignore[misc]
    _warm(broker, folder / "warm")
    assert forked(lambda: _lose(broker, folder)) == 0
    print(
        die_at_each_step(
            lambda step, killer: _put_back(broker, folder, f"job-{step}", killer),
            lambda step: _count(broker, folder, f"job-{step}"),
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
