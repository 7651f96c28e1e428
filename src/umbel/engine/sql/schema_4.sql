-- Schema 4: keys that one job has at a time. A key counts for as long as the job's message is there.
CREATE TABLE unique_key (
    name        TEXT PRIMARY KEY,
    task_id     TEXT NOT NULL,
    until_start INTEGER NOT NULL,
    ends        REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX unique_key_ends ON unique_key (ends);
