-- Schema 7: batches, and checkpoints.
CREATE TABLE batch (
    id        TEXT PRIMARY KEY,
    name      TEXT NOT NULL,
    allowed   INTEGER NOT NULL,              -- how many members may fail; -1 for any
    share     INTEGER NOT NULL,              -- that is of a million
    owner     TEXT,
    opener    TEXT,                          -- the job that opened it
    closed    INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    total     INTEGER NOT NULL DEFAULT 0,
    done      INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    gone      INTEGER NOT NULL DEFAULT 0,
    fired     TEXT NOT NULL DEFAULT '',      -- which callbacks have been queued
    created   REAL NOT NULL,
    updated   REAL NOT NULL,
    finished  REAL,
    expires   REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX batch_created ON batch (created);
CREATE INDEX batch_unfinished ON batch (updated) WHERE finished IS NULL;
CREATE INDEX batch_expires ON batch (expires);

-- p pending, d done, f failed, c cancelled.
CREATE TABLE batch_member (
    batch_id TEXT NOT NULL,
    task_id  TEXT NOT NULL,
    state    TEXT NOT NULL DEFAULT 'p',
    PRIMARY KEY (batch_id, task_id)
) WITHOUT ROWID;

-- Whole messages, until they are queued.
CREATE TABLE batch_callback (
    batch_id TEXT NOT NULL,
    kind     TEXT NOT NULL,
    number   INTEGER NOT NULL,
    message  TEXT NOT NULL,
    PRIMARY KEY (batch_id, kind, number)
) WITHOUT ROWID;

-- Which execution has a job's checkpoints.
CREATE TABLE checkpoint_fence (
    task_id TEXT PRIMARY KEY,
    fence   INTEGER NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX checkpoint_fence_expires ON checkpoint_fence (expires);
CREATE TABLE checkpoint (
    task_id TEXT NOT NULL,
    name    TEXT NOT NULL,
    cursor  TEXT NOT NULL,
    PRIMARY KEY (task_id, name)
) WITHOUT ROWID;
