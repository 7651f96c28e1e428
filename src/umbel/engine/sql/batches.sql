-- Batches.

-- name: open
INSERT OR IGNORE INTO batch (id, name, allowed, share, owner, opener, created, updated, expires)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)

-- name: callback
INSERT INTO batch_callback (batch_id, kind, number, message) VALUES (?, ?, ?, ?)

-- name: callbacks
SELECT message FROM batch_callback WHERE batch_id = ? AND kind = ? ORDER BY number

-- name: drop_callbacks
DELETE FROM batch_callback WHERE batch_id = ? AND kind = ?

-- name: member
INSERT OR IGNORE INTO batch_member (batch_id, task_id) VALUES (?, ?)

-- name: grow
UPDATE batch SET total = total + ?2, updated = ?3, expires = ?4 WHERE id = ?1

-- name: close
UPDATE batch SET closed = 1, updated = ?2 WHERE id = ?1

-- name: cancel
UPDATE batch SET closed = 1, cancelled = 1, updated = ?2 WHERE id = ?1 AND cancelled = 0 AND finished IS NULL

-- name: end
UPDATE batch_member SET state = ?3 WHERE batch_id = ?1 AND task_id = ?2 AND state = ?4

-- name: count
UPDATE batch SET done = done + ?2, failed = failed + ?3, gone = gone + ?4, updated = ?5 WHERE id = ?1

-- name: fired
UPDATE batch SET fired = ?2, finished = ?3, expires = ?4 WHERE id = ?1

-- name: recount
UPDATE batch SET
    total = (SELECT count(*) FROM batch_member WHERE batch_id = ?1),
    done = (SELECT count(*) FROM batch_member WHERE batch_id = ?1 AND state = 'd'),
    failed = (SELECT count(*) FROM batch_member WHERE batch_id = ?1 AND state = 'f'),
    gone = (SELECT count(*) FROM batch_member WHERE batch_id = ?1 AND state = 'c'),
    updated = ?2
WHERE id = ?1

-- name: stop
INSERT OR REPLACE INTO cancelled (task_id, at, running)
SELECT ?1, ?2, 1 WHERE NOT EXISTS (SELECT 1 FROM result WHERE task_id = ?1 AND final = 1)

-- name: read
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL
FROM batch WHERE id = ?

-- name: find
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL
FROM batch WHERE held IS NULL ORDER BY created DESC LIMIT ?

-- name: stale
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL
FROM batch WHERE finished IS NULL AND held IS NULL AND updated < ? ORDER BY updated LIMIT ?

-- name: pending
SELECT task_id, EXISTS (SELECT 1 FROM message WHERE message.task_id = batch_member.task_id)
FROM batch_member WHERE batch_id = ?1 AND state = 'p' AND task_id > ?2 ORDER BY task_id LIMIT 500

-- name: expired
SELECT id FROM batch WHERE expires < ? LIMIT 10

-- name: drop_members
DELETE FROM batch_member WHERE batch_id = ?1 AND task_id IN (SELECT task_id FROM batch_member WHERE batch_id = ?1 LIMIT ?2)

-- name: drop_all_callbacks
DELETE FROM batch_callback WHERE batch_id = ?

-- name: drop
DELETE FROM batch WHERE id = ?
