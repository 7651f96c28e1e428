-- Moving batches, checkpoints and effects to and from another store.

-- name: hold
UPDATE counter SET held = ?1
WHERE id IN (SELECT id FROM counter WHERE kind = 'batch' AND held IS NULL ORDER BY created LIMIT ?2) RETURNING id

-- name: bundle
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished,
    held IS NOT NULL, kind, size
FROM counter WHERE id = ?

-- name: callbacks
SELECT kind, message FROM batch_callback WHERE batch_id = ? ORDER BY kind, number

-- name: held
SELECT id, held, closed, cancelled, updated FROM counter WHERE held IS NOT NULL ORDER BY id

-- name: release
UPDATE counter SET held = NULL, closed = max(closed, ?2), cancelled = max(cancelled, ?3), updated = ?4
WHERE id = ?1 AND held IS NOT NULL

-- name: part
DELETE FROM counter WHERE id = ?1 AND held IS NOT NULL AND updated = ?2

-- name: drop_members
DELETE FROM counter_member WHERE counter_id = ?

-- name: drop_callbacks
DELETE FROM batch_callback WHERE batch_id = ?

-- name: admit_batch
INSERT OR REPLACE INTO counter (id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created,
    updated, finished, held, expires)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: admit_callback
INSERT INTO batch_callback (batch_id, kind, number, message) VALUES (?, ?, ?, ?)

-- name: members
SELECT task_id, state FROM counter_member WHERE counter_id = ?1 AND task_id > ?2 ORDER BY task_id LIMIT ?3

-- name: named_members
SELECT task_id, state FROM counter_member WHERE counter_id = ?1 AND task_id IN (SELECT value FROM json_each(?2))

-- name: keep_member
INSERT OR IGNORE INTO counter_member (counter_id, task_id) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 FROM counter WHERE id = ?1)

-- name: grow
UPDATE counter SET total = total + 1 WHERE id = ?

-- name: fences
SELECT task_id, fence, expires FROM checkpoint_fence WHERE task_id IN (SELECT value FROM json_each(?))

-- name: cursors
SELECT name, cursor FROM checkpoint WHERE task_id = ? ORDER BY name

-- name: keep_fence
INSERT INTO checkpoint_fence (task_id, fence, expires) VALUES (?1, ?2, ?3)
ON CONFLICT (task_id) DO UPDATE SET fence = excluded.fence, expires = excluded.expires WHERE fence < excluded.fence

-- name: drop_cursors
DELETE FROM checkpoint WHERE task_id = ?

-- name: keep_cursor
INSERT INTO checkpoint (task_id, name, cursor) VALUES (?, ?, ?)

-- name: effects
SELECT name, owner, result, ends FROM effect WHERE state = 'done' AND ends > ?2 AND name > ?1 ORDER BY name LIMIT ?3

-- name: running
SELECT name, owner, ends FROM effect WHERE state IN ('begun', 'asked') AND ends > ? ORDER BY ends LIMIT 100

-- name: doubtful
SELECT name, owner, ends FROM effect
WHERE (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= ?1)) ORDER BY ends, name LIMIT ?2

-- name: doubtful_named
SELECT name, owner, ends FROM effect
WHERE (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= ?1)) AND name IN (SELECT value FROM json_each(?2))
ORDER BY ends, name

-- name: discard_effects
DELETE FROM effect
WHERE (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= ?1)) AND name IN (SELECT value FROM json_each(?2))

-- name: admit_effect
INSERT OR IGNORE INTO effect (name, state, owner, run, token, ends) VALUES (?, 'uncertain', ?, '', '', ?)

-- name: keep_effect
INSERT INTO effect (name, state, owner, run, token, ends, result) VALUES (?1, 'done', ?2, '', '', ?4, ?3)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, owner = excluded.owner, run = '', token = '', ends = excluded.ends,
    result = excluded.result
WHERE state = 'uncertain' OR (state IN ('claimed', 'done') AND effect.ends <= ?5)
