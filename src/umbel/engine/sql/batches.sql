-- Batches: their counters are in counters.sql too.

-- name: open
INSERT OR IGNORE INTO counter (id, name, allowed, share, owner, opener, created, updated, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)

-- name: callback
INSERT INTO batch_callback (batch_id, kind, number, message) VALUES (?, ?, ?, ?)

-- name: callbacks
SELECT message FROM batch_callback WHERE batch_id = ? AND kind = ? ORDER BY number

-- name: drop_callbacks
DELETE FROM batch_callback WHERE batch_id = ? AND kind = ?

-- name: close
UPDATE counter SET closed = 1, updated = ?2 WHERE id = ?1

-- name: cancel
UPDATE counter SET closed = 1, cancelled = 1, updated = ?2 WHERE id = ?1 AND cancelled = 0 AND finished IS NULL

-- name: recount
UPDATE counter SET
    total = (SELECT count(*) FROM counter_member WHERE counter_id = ?1),
    done = (SELECT count(*) FROM counter_member WHERE counter_id = ?1 AND state = 'd'),
    failed = (SELECT count(*) FROM counter_member WHERE counter_id = ?1 AND state = 'f'),
    gone = (SELECT count(*) FROM counter_member WHERE counter_id = ?1 AND state = 'c'),
    updated = ?2
WHERE id = ?1

-- name: stop
INSERT OR REPLACE INTO cancelled (task_id, at, running)
SELECT ?1, ?2, 1 WHERE NOT EXISTS (SELECT 1 FROM result WHERE task_id = ?1 AND final = 1)

-- name: find
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL, kind, size
FROM counter WHERE kind = 'batch' AND held IS NULL ORDER BY created DESC LIMIT ?

-- name: stale
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL, kind, size
FROM counter WHERE kind = 'batch' AND finished IS NULL AND held IS NULL AND updated < ? ORDER BY updated LIMIT ?

-- name: pending
SELECT task_id, EXISTS (SELECT 1 FROM message WHERE message.task_id = counter_member.task_id)
FROM counter_member WHERE counter_id = ?1 AND state = 'p' AND task_id > ?2 ORDER BY task_id LIMIT 500
