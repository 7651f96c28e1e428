"""The recorder's process: ``python -m umbel.monitor``, started by the supervisor of ``umbel worker`` only.

What it is to know comes as one line of JSON over its input, which ends when the supervisor does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Final

from umbel.engine import log_lines
from umbel.engine.registry import open_engine
from umbel.engine.store import Engine
from umbel.errors import (
    ConfigurationError,
    StoreDenied,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
    UmbelError,
)
from umbel.jobs.dead_letters import DeadLetters
from umbel.monitor.alerts.alerter import Alerter
from umbel.monitor.alerts.plan import Plan
from umbel.monitor.canary_keeper import CanaryKeeper
from umbel.monitor.database import history_address
from umbel.monitor.history import History
from umbel.monitor.recorder import Recorder
from umbel.monitor.retention import usual

logger = logging.getLogger("umbel.monitor")

#: So long may it take until the tables of the history are there.
_START_SECONDS: Final = 60.0
_EX_UNAVAILABLE: Final = 69
_EX_CONFIG: Final = 78
_INPUT: Final = 0
#: What somebody may have mended by the next start.
_PASSES: Final = (StoreUnreachable, StoreReadOnly, StoreFull, StoreDenied)


def main() -> int:
    """Record until a signal comes, or the supervisor is gone."""
    told = json.loads(_first_line())
    stop = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    log_lines.begin(told["loglevel"])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    _watch_life(stop)
    try:
        _record(told, stop)
    except _PASSES as error:
        logger.error("There is no history for now: %s", error)
        return _EX_UNAVAILABLE
    except UmbelError as error:
        logger.error("There is no history: %s", error)
        return _EX_CONFIG
    except ImportError as error:
        logger.error("There is no history: it needs %s: pip install 'umbel[postgres]'.", error.name)
        return _EX_CONFIG
    return 0


def _record(told: dict[str, Any], stop: threading.Event) -> None:
    engine = open_engine(told["url"], **told["engine"])
    place = told["history"]
    kept = usual(place["age"], place["failures_age"], place["most"])
    # What can never become a history keeps nothing for it.
    history_address(place["url"], Path())
    with contextlib.suppress(StoreError):
        # The first jobs are not to be missed while the tables are made.
        engine.events.expect(_START_SECONDS)
    history = History(place["url"])
    recorder = Recorder(engine, history, kept)
    try:
        keeper = CanaryKeeper(DeadLetters(lambda: engine), history, engine.events.identity)
        with (
            _alerting(told.get("alerts"), engine, history, recorder, stop),
            keeper.running(stop, leads=lambda: recorder.leads),
        ):
            recorder.run(stop)
    finally:
        with contextlib.suppress(StoreError):
            recorder.resign()
        with contextlib.suppress(StoreError):
            engine.close()


def _alerting(
    told: dict[str, Any] | None, engine: Engine, history: History, recorder: Recorder, stop: threading.Event
) -> contextlib.AbstractContextManager[None]:
    if told is None:
        return contextlib.nullcontext()
    try:
        plan = Plan.of(told)
        return Alerter(engine, history, plan, leads=lambda: recorder.leads).running(stop)
    except ConfigurationError as error:
        # What is wrong with how alerts are told must not cost the history, nor the alerts that are logged.
        logger.error("Alerts are only logged: %s", error)
        plan = Plan(app=str(told.get("app", "")))
        return Alerter(engine, history, plan, leads=lambda: recorder.leads).running(stop)


def _first_line() -> bytes:
    # Not through the buffered reader, whose lock the thread below would hold while the interpreter ends.
    text = b""
    while not text.endswith(b"\n") and (byte := os.read(_INPUT, 1)):
        text += byte
    return text


def _watch_life(stop: threading.Event) -> None:
    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(_INPUT, 1):
                pass
        stop.set()

    threading.Thread(target=wait, name="umbel-life", daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
