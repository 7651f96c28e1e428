-- Dead letters. A number (id) is that of a death: a letter that is written again has a new one.
-- What is packed for another store (see moving.sql) is neither replayed nor dropped here.

-- name: number
UPDATE letter_number SET last = max(last, (SELECT coalesce(max(id), 0) FROM dead_letter)) + 1 RETURNING last

-- name: bury_again
UPDATE dead_letter SET
    id = :id, task_id = :task_id, task = :task, queue = :queue, reason = :reason,
    deliveries = :deliveries, died = :died, payload = :payload, owner = :owner, release = :release,
    exception = :exception, fingerprint = :fingerprint, failures = :failures, replays = max(replays, :replays),
    replaying = :replaying
WHERE key = :key

-- name: bury
INSERT INTO dead_letter (id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception,
    fingerprint, failures, replays, replaying)
VALUES (:id, :task_id, :task, :queue, :reason, :deliveries, :died, :payload, :key, :owner, :release, :exception,
    :fingerprint, :failures, :replays, :replaying)

-- name: close
DELETE FROM dead_letter WHERE key = ?

-- name: reopen
UPDATE dead_letter SET replaying = 0 WHERE key = ?

-- name: find
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM dead_letter
WHERE (:after IS NULL OR id {side} :after)
  AND (:numbers IS NULL OR id IN (SELECT value FROM json_each(:numbers)))
  AND (:queue IS NULL OR queue = :queue)
  AND (:task IS NULL OR task = :task)
  AND (:exception IS NULL OR exception = :exception
       OR substr(exception, -length(:exception) - 1) = '.' || :exception)
  AND (:fingerprint IS NULL OR fingerprint = :fingerprint)
  AND (:release IS NULL OR release = :release)
  AND (:owner IS NULL OR owner = :owner)
  AND (:since IS NULL OR died >= :since)
  AND (:before IS NULL OR died < :before)
  AND (:replaying IS NULL OR replaying = :replaying)
  AND (:fewer_than IS NULL OR replays < :fewer_than)
ORDER BY id {order} LIMIT :limit

-- name: read
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM dead_letter WHERE key IN (SELECT value FROM json_each(?)) ORDER BY id DESC

-- name: get
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM dead_letter WHERE id = ?

-- name: count
SELECT count(*) FROM dead_letter

-- name: drop
DELETE FROM dead_letter
WHERE id IN (SELECT value FROM json_each(?)) AND id > coalesce((SELECT letters FROM crate), 0)

-- name: replay
UPDATE dead_letter SET replays = replays + 1, replaying = 1
WHERE id = ?1 AND key = ?2 AND replays = ?3 AND (replaying = 0 OR ?4) AND id > coalesce((SELECT letters FROM crate), 0)

-- name: prune_old
DELETE FROM dead_letter WHERE died < ? AND id > coalesce((SELECT letters FROM crate), 0)

-- name: prune_many
DELETE FROM dead_letter
WHERE id <= (SELECT id FROM dead_letter ORDER BY id DESC LIMIT 1 OFFSET ?)
  AND id > coalesce((SELECT letters FROM crate), 0)
