"""What is counted each second while somebody looks is counted by indexes, however much waits."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from umbel import Settings, Umbel
from umbel.engine.sql import statements


def test_queues_are_counted_without_looking_at_their_messages(tmp_path: Path) -> None:
    app = Umbel("shop", settings=Settings(data_dir=tmp_path))
    for options in ({}, {}, {"countdown": 3600}, {"queue": "mail"}):
        app.send_task("shop.pack", **options)
    counted = [(queue.name, queue.ready, queue.delayed, queue.leased, queue.suspect) for queue in app.engine.queues()]
    assert counted == [("celery", 2, 1, 0, 0), ("mail", 1, 0, 0, 0)]
    app.engine.close()
    connection = sqlite3.connect(tmp_path / "umbel.db")
    plan = [str(row[3]) for row in connection.execute("EXPLAIN QUERY PLAN " + statements("status.sql")["queues"])]
    connection.close()
    looked_at = [step for step in plan if "message" in step]
    assert len(looked_at) == 4
    assert all("USING INDEX message_" in step for step in looked_at), looked_at
