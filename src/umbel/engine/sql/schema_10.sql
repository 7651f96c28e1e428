-- Schema 10: starts under a limit, those that were and those that are promised; who waits for one; what was changed live;
-- slots that several jobs share.
CREATE TABLE limit_start (
    number  INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    at      REAL NOT NULL,
    firm    INTEGER NOT NULL,
    started INTEGER NOT NULL,
    owner   TEXT NOT NULL,               -- to whom it is promised; of a start that was, the mark of its ask
    ends    REAL NOT NULL                -- when it counts no more
);
CREATE INDEX limit_start_at ON limit_start (name, at);
CREATE INDEX limit_start_firm ON limit_start (name, at) WHERE firm;
CREATE INDEX limit_start_owner ON limit_start (owner, name);
CREATE INDEX limit_start_ends ON limit_start (ends);
CREATE TABLE limit_plan (
    name      TEXT PRIMARY KEY,
    rule      TEXT NOT NULL,
    full      REAL NOT NULL,
    firm_full REAL NOT NULL,
    started   REAL NOT NULL,
    firm      REAL NOT NULL,
    planned   REAL NOT NULL,
    ends      REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX limit_plan_ends ON limit_plan (ends);
CREATE TABLE limit_wait (
    base  TEXT NOT NULL,
    owner TEXT NOT NULL,
    at    REAL NOT NULL,
    PRIMARY KEY (base, owner)
) WITHOUT ROWID;
CREATE INDEX limit_wait_at ON limit_wait (at);
CREATE TABLE limit_lag (
    base TEXT PRIMARY KEY,
    lag  REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE limit_change (
    base    TEXT PRIMARY KEY,
    count   INTEGER NOT NULL,
    seconds REAL NOT NULL,
    burst   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE slot (
    fence INTEGER PRIMARY KEY,
    name  TEXT NOT NULL,
    owner TEXT NOT NULL,
    ends  REAL NOT NULL
);
CREATE INDEX slot_name ON slot (name);
CREATE INDEX slot_ends ON slot (ends);
