"""A process that sees every state that is written, and tells of those that left an end.

On Redis each write of a state is also published, in order: it listens. In SQLite a trigger notes the change in
the transaction that makes it.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Final

import redis
from celery.states import READY_STATES

__all__ = ("Observer",)

_ROOT: Final = Path(__file__).resolve().parents[2]
_STOP_SECONDS: Final = 60.0
_STATES: Final = "celery-task-meta-*"
_END: Final = "chaos-end"
_TRIGGER: Final = """
CREATE TABLE chaos_seen (id INTEGER PRIMARY KEY CHECK (id = 1), writes INTEGER NOT NULL);
INSERT INTO chaos_seen VALUES (1, 0);
CREATE TABLE chaos_left (task_id TEXT, before TEXT, after TEXT);
CREATE TRIGGER chaos_changed AFTER UPDATE ON result BEGIN
    UPDATE chaos_seen SET writes = writes + 1;
    INSERT INTO chaos_left SELECT OLD.task_id, OLD.state, NEW.state WHERE OLD.final = 1;
END;
CREATE TRIGGER chaos_new AFTER INSERT ON result BEGIN UPDATE chaos_seen SET writes = writes + 1; END;
CREATE TRIGGER chaos_gone AFTER DELETE ON result BEGIN
    INSERT INTO chaos_left VALUES (OLD.task_id, OLD.state, 'gone');
END;
"""


class Observer:
    """The process, as the campaign sees it. ``place``: a port of Redis, or a SQLite file that an engine has opened."""

    def __init__(self, place: int | Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(place)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            raise RuntimeError(f"the observer ended with code {self._process.wait(_STOP_SECONDS)}")

    def stop(self) -> tuple[int, list[str]]:
        """Return how many writes it saw, and what left an end."""
        told, _ = self._process.communicate(timeout=_STOP_SECONDS)
        found = json.loads(told)
        return found["seen"], found["left"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate(timeout=_STOP_SECONDS)


def _listen(port: int) -> tuple[int, list[str]]:
    """Hear every state until told to stop: what was published before is heard before."""
    ended: dict[bytes, str] = {}
    seen, left = 0, []
    with redis.Redis(port=port) as client, client.pubsub() as heard:
        heard.psubscribe(_STATES, _END)
        for message in heard.listen():
            if message["type"] == "psubscribe" and message["channel"] == _END.encode():
                threading.Thread(target=_publish_end, args=(port,)).start()
            if message["type"] != "pmessage":
                continue
            if message["channel"] == _END.encode():
                break
            seen += 1
            state = json.loads(message["data"])["status"]
            before = ended.get(message["channel"])
            if before is not None:
                left.append(f"{message['channel'].decode()}: {before}, then {state}")
            elif state in READY_STATES:
                ended[message["channel"]] = state
    return seen, left


def _publish_end(port: int) -> None:
    _wait()
    with redis.Redis(port=port) as client:
        client.publish(_END, "")


def _watch(path: Path) -> tuple[int, list[str]]:
    with closing(sqlite3.connect(path, timeout=60.0)) as connection:
        connection.executescript(_TRIGGER)
        _wait()
        (seen,) = connection.execute("SELECT writes FROM chaos_seen").fetchone()
        rows = connection.execute("SELECT task_id, before, after FROM chaos_left").fetchall()
    return seen, [f"{task_id}: {before}, then {after}" for task_id, before, after in rows]


def _wait() -> None:
    """Say that everything from now on is seen, and wait for the word to stop."""
    print("ready", flush=True)
    sys.stdin.read()


def _main(place: str) -> None:
    seen, left = _listen(int(place)) if place.isdigit() else _watch(Path(place))
    print(json.dumps({"seen": seen, "left": left}), flush=True)


if __name__ == "__main__":
    _main(sys.argv[1])
