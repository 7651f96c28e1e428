-- Lines of messages, one a key, from which is taken in turn.

-- name: any
SELECT count(*) FROM lane WHERE queue = ?1 AND share <> ''

-- name: plain_joins
INSERT OR IGNORE INTO lane (queue, rank, share, turn)
SELECT ?1, plain.rank, '', coalesce((SELECT min(turn) FROM lane WHERE queue = ?1 AND rank = plain.rank), 0) + 1
FROM (SELECT min(rank) AS rank FROM message
      WHERE queue = ?1 AND share = '' AND lease IS NULL AND due IS NULL AND suspect = 0) plain
WHERE plain.rank IS NOT NULL

-- name: next
SELECT rank, share, turn FROM lane WHERE queue = ?1 ORDER BY rank, turn, share LIMIT 1

-- name: fetch
UPDATE message SET lease = ?1, deliveries = deliveries + 1
WHERE seq IN (
    SELECT seq FROM message
    WHERE queue = ?2 AND share = ?3 AND rank = ?4 AND lease IS NULL AND due IS NULL AND suspect = 0
    ORDER BY seq LIMIT ?5)
RETURNING rank, seq, payload, deliveries, suspect, enqueued, task_id, verdict,
          EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)

-- name: served
UPDATE lane SET turn = ?4 WHERE queue = ?1 AND rank = ?2 AND share = ?3

-- name: emptied
DELETE FROM lane WHERE queue = ?1 AND rank = ?2 AND share = ?3

-- name: paused
SELECT paused FROM queue WHERE id = ?1
