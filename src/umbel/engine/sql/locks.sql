-- Locks by name.

-- name: fence
UPDATE fence SET last = max(last + 1, ?1) RETURNING last

-- name: held
SELECT owner, fence, ends FROM lock WHERE name = ?1 AND ends > ?2

-- name: take
INSERT INTO lock (name, owner, fence, ends) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, fence = excluded.fence, ends = excluded.ends

-- name: wait
INSERT INTO lock_wait (name, task_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING

-- name: wait_no_more
DELETE FROM lock_wait WHERE name = ?1 AND task_id = ?2

-- name: renew
UPDATE lock SET ends = ?3 WHERE name = ?1 AND fence = ?2 AND ends > ?4

-- name: release
DELETE FROM lock WHERE name = ?1 AND fence = ?2 AND ends > ?3

-- name: forget_waiters
DELETE FROM lock_wait WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM message WHERE message.task_id = lock_wait.task_id)

-- name: wake
UPDATE message SET due = ?2 WHERE seq = (
    SELECT seq FROM lock_wait JOIN message ON message.task_id = lock_wait.task_id
    WHERE lock_wait.name = ?1 AND message.due IS NOT NULL AND message.lease IS NULL
    ORDER BY lock_wait.number LIMIT 1)

-- name: sweep
DELETE FROM lock WHERE ends <= ?1

-- name: sweep_waiters
DELETE FROM lock_wait WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.task_id = lock_wait.task_id)
