-- Results, chords and cancellation.

-- name: store
INSERT INTO result (task_id, state, final, attempt, task, queue, owner, meta, updated, expires, since) VALUES {rows}
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, final = excluded.final, attempt = excluded.attempt,
    task = coalesce(excluded.task, task), queue = coalesce(excluded.queue, queue),
    owner = coalesce(excluded.owner, owner), meta = excluded.meta, updated = excluded.updated, expires = excluded.expires,
    since = excluded.since
WHERE result.final = 0 OR excluded.since > result.updated

-- name: read
SELECT task_id, state, final, meta, attempt, task, queue, owner, updated
FROM result WHERE task_id IN (SELECT value FROM json_each(?))

-- name: forget
DELETE FROM result WHERE task_id = ?

-- name: expire
DELETE FROM result WHERE seq IN (SELECT seq FROM result WHERE expires < ? LIMIT ?)

-- name: expire_groups
DELETE FROM result_group WHERE expires < ?

-- name: expire_chord_parts
DELETE FROM chord_part WHERE group_id IN (SELECT group_id FROM chord WHERE expires < ?)

-- name: expire_chords
DELETE FROM chord WHERE expires < ?

-- name: save_group
INSERT INTO result_group (group_id, meta, expires) VALUES (?, ?, ?)
ON CONFLICT (group_id) DO UPDATE SET meta = excluded.meta, expires = excluded.expires

-- name: read_group
SELECT meta FROM result_group WHERE group_id = ?

-- name: forget_group
DELETE FROM result_group WHERE group_id = ?

-- name: chord_size
INSERT INTO chord (group_id, size, expires) VALUES (?1, ?2, ?3)
ON CONFLICT (group_id) DO UPDATE SET size = excluded.size, expires = max(expires, excluded.expires)

-- name: chord_grow
INSERT INTO chord (group_id, extra, expires) VALUES (?1, 1, ?2)
ON CONFLICT (group_id) DO UPDATE SET extra = extra + 1, expires = max(expires, excluded.expires)

-- name: chord_part
INSERT OR IGNORE INTO chord_part (group_id, task_id, place, result)
SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (SELECT 1 FROM chord WHERE group_id = ?1 AND fired = 1)

-- name: chord_count
INSERT INTO chord (group_id, size, parts, expires) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (group_id) DO UPDATE SET parts = parts + excluded.parts, size = coalesce(size, excluded.size),
    expires = max(expires, excluded.expires)

-- name: chord_complete
SELECT fired = 0 AND size IS NOT NULL AND parts >= size + extra FROM chord WHERE group_id = ?

-- name: chord_parts
SELECT task_id, result FROM chord_part WHERE group_id = ? ORDER BY place, task_id

-- name: chord_fire
UPDATE chord SET fired = 1 WHERE group_id = ? AND fired = 0

-- name: chord_forget_parts
DELETE FROM chord_part WHERE group_id = ?

-- name: cancel
INSERT OR REPLACE INTO cancelled (task_id, at, running) VALUES (?, ?, ?)

-- name: cancel_undelay
UPDATE message SET due = NULL WHERE task_id = ? AND due IS NOT NULL

-- name: cancelled_any
SELECT coalesce(max(seq), 0) FROM cancelled

-- name: cancelled_held
SELECT m.task_id FROM message m JOIN cancelled c ON c.task_id = m.task_id WHERE m.lease = ? AND c.running = 1

-- name: cancelled_among
SELECT m.seq FROM cancelled c JOIN message m ON m.task_id = c.task_id
WHERE c.running = 1 AND m.seq IN (SELECT value FROM json_each(?))

-- name: expire_cancelled
DELETE FROM cancelled WHERE at < ?
  AND NOT EXISTS (SELECT 1 FROM message WHERE message.task_id = cancelled.task_id)
