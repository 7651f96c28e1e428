-- Schema 3: moving to and from another store.

-- The store's own name, made when it is first asked for.
CREATE TABLE identity (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    name TEXT NOT NULL
);

-- The crate that is packed, if there is one. Its messages stand in the table of messages with lease -2, which is no
-- process's; its dead letters are those up to the one named.
CREATE TABLE crate (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    token   TEXT NOT NULL,
    target  TEXT NOT NULL,
    label   TEXT NOT NULL,
    letters INTEGER NOT NULL DEFAULT 0
);

-- Crates that were admitted here.
CREATE TABLE admitted (
    token TEXT PRIMARY KEY,
    at    REAL NOT NULL
) WITHOUT ROWID;
