-- Keys that one job has at a time.

-- name: take
INSERT INTO unique_key (name, task_id, until_start, ends) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET task_id = excluded.task_id, until_start = excluded.until_start, ends = excluded.ends
WHERE unique_key.task_id = excluded.task_id OR unique_key.ends <= ?5 OR NOT EXISTS (
    SELECT 1 FROM message
    WHERE message.task_id = unique_key.task_id AND (NOT unique_key.until_start OR message.deliveries = 0)
      AND (message.lease IS NOT NULL
           OR NOT EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)))

-- name: owner
SELECT task_id FROM unique_key WHERE name = ?

-- name: holder
SELECT unique_key.task_id FROM unique_key
WHERE name = ?1 AND ends > ?2 AND EXISTS (
    SELECT 1 FROM message
    WHERE message.task_id = unique_key.task_id AND (NOT unique_key.until_start OR message.deliveries = 0)
      AND (message.lease IS NOT NULL
           OR NOT EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)))

-- name: supersede
UPDATE message SET payload = ?2,
    due = CASE WHEN due IS NULL OR ?3 IS NULL THEN due ELSE coalesce(min(?3, enqueued + ?4), ?3) END
WHERE task_id = ?1 AND lease IS NULL AND deliveries = 0 AND verdict IS NULL
  AND NOT EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)
  AND EXISTS (SELECT 1 FROM unique_key WHERE unique_key.task_id = message.task_id AND until_start)

-- name: sweep
DELETE FROM unique_key WHERE name IN (SELECT name FROM unique_key WHERE ends <= ?1 LIMIT ?2)
