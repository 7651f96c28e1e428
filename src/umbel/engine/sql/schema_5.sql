-- Schema 5: locks by name, who waits for them, and the last fencing number; circuit breakers.
CREATE TABLE lock (
    name  TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    fence INTEGER NOT NULL,
    ends  REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX lock_ends ON lock (ends);
CREATE TABLE lock_wait (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL,
    task_id TEXT NOT NULL,
    UNIQUE (name, task_id)
);
CREATE TABLE fence (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL
);
INSERT INTO fence (one, last) VALUES (1, 0);
CREATE TABLE breaker (
    name  TEXT PRIMARY KEY,
    open  REAL NOT NULL,                 -- until when nobody passes
    probe TEXT,                          -- who passes then,
    until REAL                           -- and for how long
) WITHOUT ROWID;
CREATE TABLE breaker_failure (
    name TEXT NOT NULL,
    at   REAL NOT NULL
);
CREATE INDEX breaker_failure_name ON breaker_failure (name, at);
