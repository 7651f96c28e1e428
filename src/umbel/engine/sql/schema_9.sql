-- Schema 9: effects that happen once per key.
CREATE TABLE effect (
    name   TEXT PRIMARY KEY,
    state  TEXT NOT NULL,                -- claimed, begun, asked (uncertain, and somebody finds out), uncertain, done
    owner  TEXT NOT NULL,                -- the job,
    run    TEXT NOT NULL,                -- its execution,
    token  TEXT NOT NULL,                -- its claim
    ends   REAL NOT NULL,                -- its lease; since when it is uncertain; how long the result is kept
    result TEXT
) WITHOUT ROWID;
CREATE INDEX effect_ends ON effect (state, ends);
