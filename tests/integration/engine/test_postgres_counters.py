"""Counters in a PostgreSQL that an earlier version has made: batches and chords had tables of their own."""

from __future__ import annotations

import psycopg

from umbel.engine.batches import DONE, MemberEnd
from umbel.engine.registry import open_state
from umbel.engine.store import ChordPart, Settled

_EARLIER = """
CREATE SCHEMA umbel;
CREATE TABLE umbel.chord (
    group_id text PRIMARY KEY, size int, extra int NOT NULL DEFAULT 0, parts int NOT NULL DEFAULT 0,
    fired boolean NOT NULL DEFAULT false, expires double precision NOT NULL
);
CREATE TABLE umbel.chord_part (
    group_id text NOT NULL, task_id text NOT NULL, place int NOT NULL, result bytea NOT NULL, is_text boolean NOT NULL,
    PRIMARY KEY (group_id, task_id)
);
CREATE TABLE umbel.batch (
    id text PRIMARY KEY, name text NOT NULL, allowed bigint NOT NULL, share boolean NOT NULL, owner text, opener text,
    closed boolean NOT NULL DEFAULT false, cancelled boolean NOT NULL DEFAULT false, total bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0, failed bigint NOT NULL DEFAULT 0, gone bigint NOT NULL DEFAULT 0,
    fired text NOT NULL DEFAULT '', created double precision NOT NULL, updated double precision NOT NULL,
    finished double precision, expires double precision NOT NULL
);
CREATE INDEX batch_created ON umbel.batch (created);
CREATE INDEX batch_unfinished ON umbel.batch (updated) WHERE finished IS NULL;
CREATE TABLE umbel.batch_member (
    batch_id text NOT NULL REFERENCES umbel.batch ON DELETE CASCADE, task_id text NOT NULL,
    state text NOT NULL DEFAULT 'p', PRIMARY KEY (batch_id, task_id)
);
CREATE TABLE umbel.batch_callback (
    batch_id text NOT NULL REFERENCES umbel.batch ON DELETE CASCADE, kind text NOT NULL, number int NOT NULL,
    message text NOT NULL, PRIMARY KEY (batch_id, kind, number)
);
INSERT INTO umbel.chord VALUES ('g', 2, 1, 1, false, 4e9), ('over', 1, 0, 1, true, 4e9);
INSERT INTO umbel.chord_part VALUES ('g', 'a', 0, '1', true);
INSERT INTO umbel.batch (id, name, allowed, share, closed, total, created, updated, expires)
VALUES ('b', 'import', 0, false, true, 1, 1, 1, 4e9);
INSERT INTO umbel.batch_member VALUES ('b', 'm', 'p');
"""


def test_c18_batches_and_chords_of_an_earlier_version_go_on(postgres_state_url: str) -> None:
    with psycopg.connect(postgres_state_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(_EARLIER.encode())
    state = open_state(postgres_state_url)
    last = ChordPart("g", "c", 2, "3", None)
    for parts in ([ChordPart("g", "a", 0, "1", None), ChordPart("over", "z", 0, "1", None)], [last]):
        assert state.settle("-", [Settled(parts=parts)], crash_limit=2).complete == ()
    (complete,) = state.settle("-", [Settled(parts=[ChordPart("g", "b", 1, "2", None)])], crash_limit=2).complete
    assert complete.group_id == "g"
    assert state.groups.parts("g") == [("a", "1"), ("b", "2"), ("c", "3")]
    state.settle("-", [Settled(end=MemberEnd("b", "m", DONE))], crash_limit=2)
    batch = state.batches.read("b")
    assert batch is not None
    assert (batch.done, batch.fired) == (1, ("then", "finally"))
    state.close()
