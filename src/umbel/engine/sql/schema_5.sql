-- Schema 5: locks by name, who waits for them, and the last fencing number.
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
