-- What counts ends: of batches, whose members are added one by one, and of chords, whose members come by themselves.

-- name: announce
INSERT INTO counter (id, kind, name, allowed, share, size, closed, total, created, updated, expires)
VALUES (?1, 'chord', '', 0, 0, coalesce(?2, 0), ?2 IS NOT NULL, ?3, ?4, ?4, ?5)
ON CONFLICT (id) DO UPDATE SET size = CASE closed WHEN 1 THEN size ELSE excluded.size END, closed = max(closed, excluded.closed),
    total = total + excluded.total, updated = excluded.updated, expires = max(expires, excluded.expires)

-- name: note_member
INSERT OR IGNORE INTO counter_member (counter_id, task_id) VALUES (?, ?)

-- name: grow
UPDATE counter SET total = total + ?2, updated = ?3, expires = ?4 WHERE id = ?1

-- name: end
UPDATE counter_member SET state = ?3 WHERE counter_id = ?1 AND task_id = ?2 AND state = ?4

-- name: bring
INSERT OR IGNORE INTO counter_member (counter_id, task_id, state, place, result)
SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS (SELECT 1 FROM counter WHERE id = ?1 AND finished IS NOT NULL)

-- name: count
UPDATE counter SET done = done + ?2, failed = failed + ?3, gone = gone + ?4, updated = ?5 WHERE id = ?1

-- name: read
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL, kind, size
FROM counter WHERE id = ?

-- name: fired
UPDATE counter SET fired = ?2, finished = ?3, expires = ?4 WHERE id = ?1

-- name: brought
SELECT task_id, result FROM counter_member WHERE counter_id = ? ORDER BY place, task_id

-- name: over
UPDATE counter SET fired = 'finally', finished = ?2 WHERE id = ?1 AND kind = 'chord' AND finished IS NULL

-- name: complete
SELECT id FROM counter
WHERE kind = 'chord' AND finished IS NULL AND updated < ? AND closed = 1 AND done + failed + gone >= total + size
ORDER BY updated LIMIT ?

-- name: drop_every_member
DELETE FROM counter_member WHERE counter_id = ?

-- name: drop_over
DELETE FROM counter WHERE id IN (SELECT id FROM counter WHERE expires < ?1 AND kind = 'chord' AND finished IS NOT NULL LIMIT ?2)

-- name: expired
SELECT id FROM counter WHERE expires < ? LIMIT 10

-- name: drop_members
DELETE FROM counter_member WHERE counter_id = ?1 AND task_id IN (SELECT task_id FROM counter_member WHERE counter_id = ?1 LIMIT ?2)

-- name: drop_all_callbacks
DELETE FROM batch_callback WHERE batch_id = ?

-- name: drop
DELETE FROM counter WHERE id = ?
