-- Slots that several share. Who waits for one stands in lock_wait, by the name of the slots after "slot:".

-- name: forget
DELETE FROM slot WHERE name = ?1 AND (owner = ?2 OR ends <= ?3)

-- name: held
SELECT fence, ends, owner FROM slot WHERE name = ?1 AND ends > ?2 ORDER BY ends

-- name: take
INSERT INTO slot (fence, name, owner, ends) VALUES (?1, ?2, ?3, ?4)

-- name: renew
UPDATE slot SET ends = ?3 WHERE name = ?1 AND fence = ?2 AND ends > ?4

-- name: release
DELETE FROM slot WHERE name = ?1 AND fence = ?2 AND ends > ?3

-- name: wake
UPDATE message SET due = ?2 WHERE seq = (
    SELECT seq FROM lock_wait JOIN message ON message.task_id = lock_wait.task_id
    WHERE lock_wait.name = ?1 AND message.due IS NOT NULL AND message.lease IS NULL
    ORDER BY lock_wait.number LIMIT 1)
RETURNING task_id

-- name: sweep
DELETE FROM slot WHERE ends <= ?1
