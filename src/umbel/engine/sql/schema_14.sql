-- Schema 14: what happens to jobs, until it has been recorded.
CREATE TABLE event (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice: the recorder knows by it what it has written
    at       REAL NOT NULL,
    task_id  TEXT,                               -- of a message that was queued; the rest of it follows
    queue    INTEGER,
    priority INTEGER,
    due      REAL,
    body     BLOB NOT NULL                       -- its payload; or what one step has settled, as state/events.py packs it
);
-- One row while a recorder is expected, or has been.
CREATE TABLE recorder (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    until REAL NOT NULL,
    lost  INTEGER NOT NULL DEFAULT 0             -- events that found no room
);
-- However a message comes to be queued (dispatched, a next try, a callback, a replay), it is told.
CREATE TRIGGER message_told AFTER INSERT ON message WHEN NEW.enqueued < (SELECT until FROM recorder)
BEGIN
    UPDATE recorder SET lost = lost + 1 WHERE (SELECT max(number) FROM event) - (SELECT min(number) FROM event) >= 1000000;
    INSERT INTO event (at, task_id, queue, priority, due, body)
    SELECT NEW.enqueued, NEW.task_id, NEW.queue, 9 - NEW.rank, NEW.due, NEW.payload
    WHERE coalesce((SELECT max(number) FROM event) - (SELECT min(number) FROM event), 0) < 1000000;
END;
