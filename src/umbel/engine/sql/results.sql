-- Results, the shapes of groups, and cancellation.

-- name: store
INSERT INTO result (task_id, state, final, attempt, task, queue, owner, meta, updated, expires, since) VALUES {rows}
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, final = excluded.final, attempt = excluded.attempt,
    task = coalesce(excluded.task, task), queue = coalesce(excluded.queue, queue),
    owner = coalesce(excluded.owner, owner), meta = excluded.meta, updated = excluded.updated, expires = excluded.expires,
    since = excluded.since
WHERE excluded.since > result.updated OR (result.final = 0
    -- What an earlier try says of its own end may come after the next one has begun; so may what one says that was put off.
    AND NOT (excluded.final = 0 AND excluded.since > 0
        AND (excluded.attempt, excluded.since) < (result.attempt, result.since)))

-- name: passing
SELECT 1 FROM result WHERE task_id = ? AND final = 0

-- name: read
SELECT task_id, state, final, meta, attempt, task, queue, owner, updated
FROM result WHERE task_id IN (SELECT value FROM json_each(?))

-- name: forget
DELETE FROM result WHERE task_id = ?

-- name: expire
DELETE FROM result WHERE seq IN (SELECT seq FROM result WHERE expires < ? LIMIT ?)

-- name: expire_groups
DELETE FROM result_group WHERE expires < ?

-- name: save_group
INSERT INTO result_group (group_id, meta, expires) VALUES (?, ?, ?)
ON CONFLICT (group_id) DO UPDATE SET meta = excluded.meta, expires = excluded.expires

-- name: read_group
SELECT meta FROM result_group WHERE group_id = ?

-- name: forget_group
DELETE FROM result_group WHERE group_id = ?

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
