-- Checkpoints.

-- name: take
INSERT INTO checkpoint_fence (task_id, fence, expires) VALUES (?1, ?2, ?3)
ON CONFLICT (task_id) DO UPDATE SET fence = excluded.fence, expires = excluded.expires WHERE fence <= excluded.fence

-- name: cursors
SELECT name, cursor FROM checkpoint WHERE task_id = ?

-- name: holds
UPDATE checkpoint_fence SET expires = ?3 WHERE task_id = ?1 AND fence = ?2

-- name: save
INSERT INTO checkpoint (task_id, name, cursor) VALUES (?1, ?2, ?3)
ON CONFLICT (task_id, name) DO UPDATE SET cursor = excluded.cursor

-- name: drop
DELETE FROM checkpoint WHERE task_id = ?

-- name: drop_fence
DELETE FROM checkpoint_fence WHERE task_id = ?

-- name: sweep
DELETE FROM checkpoint WHERE task_id IN (SELECT task_id FROM checkpoint_fence WHERE expires < ?)

-- name: sweep_fences
DELETE FROM checkpoint_fence WHERE expires < ?
