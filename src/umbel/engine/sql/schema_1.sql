-- Schema 1. Times are unix seconds. application_id marks the file as Umbel's, user_version is the schema.

-- Queues by number, so that the hot index stays small. Transient ones (control, replies, events)
-- belong to one listener and go when it has not been seen for a minute.
CREATE TABLE queue (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL UNIQUE,
    transient INTEGER NOT NULL DEFAULT 0,
    seen      REAL
);

-- Which queues an exchange feeds, as the clients declared it.
CREATE TABLE binding (
    exchange    TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    pattern     TEXT NOT NULL,
    queue       TEXT NOT NULL,
    PRIMARY KEY (exchange, routing_key, pattern, queue)
) WITHOUT ROWID;

-- One row a message from dispatch to its end. Ready: no lease, no due, no suspect.
CREATE TABLE message (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    queue      INTEGER NOT NULL,
    rank       INTEGER NOT NULL,             -- 9 - priority, so that the index runs highest first
    task_id    TEXT,
    due        REAL,                         -- delayed until; NULL once due
    lease      INTEGER,                      -- the process that has it
    suspect    INTEGER NOT NULL DEFAULT 0,   -- ran in a process that crashed: next time alone
    deliveries INTEGER NOT NULL DEFAULT 0,
    crashes    INTEGER NOT NULL DEFAULT 0,   -- processes that died with this job alone in them
    verdict    TEXT,                         -- why it fails without running again
    enqueued   REAL NOT NULL,
    payload    TEXT NOT NULL                 -- Kombu's envelope, JSON
);
CREATE INDEX message_ready ON message (queue, rank, seq) WHERE lease IS NULL AND due IS NULL AND suspect = 0;
CREATE INDEX message_suspect ON message (queue, seq) WHERE suspect = 1;
CREATE INDEX message_due ON message (due) WHERE due IS NOT NULL;
CREATE INDEX message_lease ON message (lease) WHERE lease IS NOT NULL;
CREATE INDEX message_task ON message (task_id) WHERE task_id IS NOT NULL;

-- Processes that may hold messages. Alive while the kernel lock on the lease's file is held.
CREATE TABLE lease (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    token       TEXT NOT NULL UNIQUE,
    hostname    TEXT NOT NULL,
    pid         INTEGER NOT NULL,
    queues      TEXT NOT NULL,               -- JSON array
    concurrency INTEGER NOT NULL,
    started     REAL NOT NULL
);

-- The latest state of each job that has one: Celery's result document, beside what lists and guards need.
-- An end (final) is only overwritten by a message that was queued after it.
CREATE TABLE result (
    seq     INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE,
    state   TEXT NOT NULL,
    final   INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    task    TEXT,
    queue   TEXT,
    owner   TEXT,
    meta    BLOB NOT NULL,
    updated REAL NOT NULL,
    expires REAL,
    since   REAL NOT NULL DEFAULT 0          -- when the message that led to this state was queued
);
CREATE INDEX result_expires ON result (expires) WHERE expires IS NOT NULL;

CREATE TABLE result_group (
    group_id TEXT PRIMARY KEY,
    meta     BLOB NOT NULL,
    expires  REAL
) WITHOUT ROWID;

-- A chord counts its parts here; a part is counted once however often its job runs.
CREATE TABLE chord (
    group_id TEXT PRIMARY KEY,
    size     INTEGER,
    extra    INTEGER NOT NULL DEFAULT 0,     -- parts that running members have added
    parts    INTEGER NOT NULL DEFAULT 0,
    fired    INTEGER NOT NULL DEFAULT 0,
    expires  REAL
) WITHOUT ROWID;
CREATE TABLE chord_part (
    group_id TEXT NOT NULL,
    task_id  TEXT NOT NULL,
    place    INTEGER NOT NULL,
    result   BLOB NOT NULL,
    PRIMARY KEY (group_id, task_id)
) WITHOUT ROWID;

-- Cancelled ids, kept while a message of that id may still come up.
CREATE TABLE cancelled (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL UNIQUE,
    at      REAL NOT NULL,
    running INTEGER NOT NULL DEFAULT 1       -- also when it runs already
);

CREATE TABLE dead_letter (
    id         INTEGER PRIMARY KEY,
    task_id    TEXT,
    task       TEXT,
    queue      TEXT NOT NULL,
    reason     TEXT NOT NULL,
    deliveries INTEGER NOT NULL,
    died       REAL NOT NULL,
    payload    TEXT NOT NULL
);
CREATE INDEX dead_letter_task ON dead_letter (task_id);

-- The last tick of each schedule entry.
CREATE TABLE schedule_run (
    name     TEXT PRIMARY KEY,
    last_run REAL NOT NULL,
    runs     INTEGER NOT NULL
) WITHOUT ROWID;
