"""Plain Celery on its own SQLAlchemy, filesystem or Redis transport, results stored."""

import os
import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from celery import Celery

from benchmarks.inside import tally

__all__ = ["app", "dispatch", "fill", "fill_naps", "nap", "noop", "send_stamp", "settled", "stamp", "versions"]

TRANSPORT = "BENCH_CELERY_TRANSPORT"

_DIRECTORY = Path(os.environ[tally.DIRECTORY])
_QUEUE = _DIRECTORY / "queue.db"
_RESULTS = _DIRECTORY / "results.db"
_MESSAGES = _DIRECTORY / "messages"
_FILES = _DIRECTORY / "results"


def _wal(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("pragma journal_mode=wal")
    connection.close()


def _sqlalchemy() -> dict[str, Any]:
    """WAL is a setting of the file, and about twice as fast as what SQLAlchemy would make."""
    _wal(_QUEUE)
    _wal(_RESULTS)
    return {"broker_url": f"sqla+sqlite:///{_QUEUE}", "result_backend": f"db+sqlite:///{_RESULTS}"}


def _filesystem() -> dict[str, Any]:
    control = _DIRECTORY / "control"
    for folder in (_MESSAGES, _FILES, control):
        folder.mkdir(exist_ok=True)
    folders = {"data_folder_in": str(_MESSAGES), "data_folder_out": str(_MESSAGES), "control_folder": str(control)}
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": folders | {"store_processed": False, "polling_interval": 0.01},
        "result_backend": f"file://{_FILES}",
    }


def _redis() -> dict[str, Any]:
    url = os.environ["BENCH_URL"]
    # Late, as Umbel acknowledges: early acknowledgement loses what a killed worker ran.
    return {"broker_url": url, "result_backend": url, "task_acks_late": True}


_ON = os.environ.get(TRANSPORT, "sqlalchemy")

app = Celery("bench")
app.conf.update({"sqlalchemy": _sqlalchemy, "filesystem": _filesystem, "redis": _redis}[_ON]())
app.conf.update(broker_connection_retry_on_startup=True)


def _declared() -> dict[str, Any]:
    """What the no-op is given when celery-singleton is measured."""
    if os.environ.get("BENCH_DECLARE") != "singleton":
        return {}
    from celery_singleton import Singleton  # type: ignore[import-not-found,unused-ignore]

    return {"base": Singleton, "unique_on": ["number"], "lock_expiry": 3600}


@app.task(name="bench.noop", **_declared())  # type: ignore[untyped-decorator,unused-ignore]
def noop(number: int) -> int:
    """Do nothing."""
    tally.done()
    return number


@app.task(name="bench.stamp")  # type: ignore[untyped-decorator,unused-ignore]
def stamp(sent: float) -> float:
    """Write how late this job began."""
    tally.stamp(sent)
    return sent


@app.task  # type: ignore[untyped-decorator,unused-ignore]
def nap(number: int) -> int:
    """Wait in a thread."""
    time.sleep(tally.NAP)
    tally.done()
    return number


def dispatch(number: int) -> object:
    return noop.delay(number)


def fill(count: int, delay: float | None) -> None:
    options: dict[str, Any] = {} if delay is None else {"countdown": delay}
    for number in range(count):
        noop.apply_async((number,), **options)


def fill_naps(count: int, how: str) -> None:
    for number in range(count):
        nap.delay(number)


def send_stamp(sent: float) -> object:
    return stamp.delay(sent)


def settled(count: int) -> bool:
    return {"sqlalchemy": _stored_rows, "filesystem": _stored_files, "redis": _stored_keys}[_ON]() >= count


def versions() -> dict[str, str]:
    more = ("celery-singleton",) if _declared() else ()
    return {name: version(name) for name in ("celery", "kombu", "sqlalchemy", *more)}


def _stored_rows() -> int:
    connection = sqlite3.connect(_RESULTS)
    try:
        row: tuple[int] = connection.execute("select count(*) from celery_taskmeta where status = 'SUCCESS'").fetchone()
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
    return row[0]


def _stored_keys() -> int:
    """Nothing waits and nothing is unacknowledged; then nearly every key is a result."""
    with app.connection_for_read() as connection:
        client = connection.default_channel.client
        return 0 if client.exists("celery", "unacked") else int(client.dbsize())


def _stored_files() -> int:
    return sum(1 for entry in os.scandir(_FILES) if entry.name.startswith("celery-task-meta-"))
