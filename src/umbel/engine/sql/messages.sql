-- Messages and leases. {rows} stands for as many value tuples as the batch has.

-- name: enqueue
INSERT INTO message (queue, rank, task_id, due, enqueued, payload, share) VALUES {rows}

-- name: last
SELECT coalesce(max(seq), 0) FROM message

-- name: enqueue_once
INSERT INTO message (queue, rank, task_id, due, enqueued, payload, share)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
WHERE NOT EXISTS (SELECT 1 FROM message WHERE task_id = ?3)
  AND NOT EXISTS (SELECT 1 FROM result WHERE task_id = ?3)

-- name: enqueue_revived
INSERT INTO message (queue, rank, task_id, due, enqueued, payload, share)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
WHERE NOT EXISTS (SELECT 1 FROM message WHERE task_id = ?3)
  AND NOT EXISTS (SELECT 1 FROM result WHERE task_id = ?3 AND final)

-- name: fetch
UPDATE message SET lease = ?1, deliveries = deliveries + 1
WHERE seq IN (
    SELECT seq FROM message
    WHERE queue = ?2 AND share = '' AND lease IS NULL AND due IS NULL AND suspect = 0
      AND (SELECT NOT paused FROM queue WHERE id = ?2)
    ORDER BY rank, seq LIMIT ?3)
RETURNING rank, seq, payload, deliveries, suspect, enqueued, task_id, verdict,
          EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)

-- name: fetch_suspect
UPDATE message SET lease = ?1, deliveries = deliveries + 1
WHERE seq IN (
    SELECT seq FROM message
    WHERE queue = ?2 AND suspect = 1 AND lease IS NULL AND due IS NULL
      AND (SELECT NOT paused FROM queue WHERE id = ?2)
    ORDER BY seq LIMIT ?3)
RETURNING rank, seq, payload, deliveries, suspect, enqueued, task_id, verdict,
          EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)

-- name: take
DELETE FROM message
WHERE seq IN (SELECT seq FROM message
              WHERE queue = ?1 AND lease IS NULL AND due IS NULL AND suspect = 0
              ORDER BY share, rank, seq LIMIT ?2)
RETURNING rank, seq, payload, deliveries, suspect, enqueued, task_id, verdict,
          EXISTS (SELECT 1 FROM cancelled WHERE cancelled.task_id = message.task_id)

-- name: waiting
SELECT EXISTS (SELECT 1 FROM message
               WHERE queue = ?1 AND lease IS NULL AND due IS NULL AND suspect = 0
                 AND (SELECT NOT paused FROM queue WHERE id = ?1))

-- name: most_urgent
SELECT min(rank) FROM (
    SELECT min(rank) AS rank FROM message
    WHERE queue = ?1 AND share = '' AND lease IS NULL AND due IS NULL AND suspect = 0
    UNION ALL SELECT * FROM (
        SELECT rank FROM lane
        WHERE queue = ?1 AND share <> '' AND EXISTS (
            SELECT 1 FROM message
            WHERE message.queue = ?1 AND message.share = lane.share AND message.rank = lane.rank
              AND lease IS NULL AND due IS NULL AND suspect = 0)
        ORDER BY rank LIMIT 1))
WHERE (SELECT NOT paused FROM queue WHERE id = ?1)

-- name: suspects_waiting
SELECT EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND suspect = 1 AND lease IS NULL AND due IS NULL
                 AND (SELECT NOT paused FROM queue WHERE id = ?1))

-- name: suspects
SELECT q.name, count(*) FROM message m JOIN queue q ON q.id = m.queue
WHERE m.suspect = 1 AND m.lease IS NULL AND m.due IS NULL AND NOT q.paused GROUP BY q.id

-- name: next_due
SELECT min(due) FROM message WHERE due IS NOT NULL

-- name: promote
UPDATE message SET due = NULL
WHERE seq IN (SELECT seq FROM message WHERE due <= ? ORDER BY due LIMIT 1000)

-- name: held
SELECT count(*) FROM message WHERE lease = ? AND seq IN (SELECT value FROM json_each(?))

-- name: held_list
SELECT seq FROM message WHERE lease = ? AND seq IN (SELECT value FROM json_each(?))

-- name: acknowledge
DELETE FROM message WHERE lease = ? AND seq IN (SELECT value FROM json_each(?))

-- name: requeue
UPDATE message SET lease = NULL WHERE lease = ? AND seq IN (SELECT value FROM json_each(?))

-- name: open_lease
INSERT INTO lease (token, hostname, pid, queues, concurrency, started) VALUES (?, ?, ?, ?, ?, ?)

-- name: retire_lease
UPDATE lease SET queues = '[]' WHERE id = ?

-- name: leases
SELECT id, token FROM lease

-- name: close_lease
DELETE FROM lease WHERE id = ?

-- name: lease_holds
SELECT count(*) FROM message WHERE lease = ?

-- name: mark_suspects
UPDATE message SET suspect = 1, crashes = crashes + ?3
WHERE lease = ?1 AND seq IN (SELECT value FROM json_each(?2))

-- name: release_lease
UPDATE message SET lease = NULL WHERE lease = ?

-- name: condemn_poisoned
UPDATE message SET suspect = 0,
    verdict = 'worker lost: its process died ' || crashes || ' times with this job alone in it'
WHERE lease = ?1 AND crashes >= ?2 AND verdict IS NULL

-- name: condemn
UPDATE message SET suspect = 0, verdict = ?3
WHERE lease = ?1 AND seq IN (SELECT value FROM json_each(?2))

-- name: queue_ids
SELECT name, id, transient FROM queue

-- name: add_queue
INSERT INTO queue (name, transient, seen) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET seen = excluded.seen, transient = min(transient, excluded.transient)

-- name: bind
INSERT OR IGNORE INTO binding (exchange, routing_key, pattern, queue) VALUES (?, ?, ?, ?)

-- name: unbind
DELETE FROM binding WHERE exchange = ? AND routing_key = ? AND queue = ?

-- name: bindings
SELECT routing_key, pattern, queue FROM binding WHERE exchange = ?

-- name: pause
UPDATE queue SET paused = ? WHERE id = ?

-- name: touch
UPDATE queue SET seen = ? WHERE name IN (SELECT value FROM json_each(?))

-- name: stale_queues
SELECT id, name FROM queue WHERE transient = 1 AND (seen IS NULL OR seen < ?)

-- name: drop_messages
DELETE FROM message WHERE queue = ?

-- name: drop_queue
DELETE FROM queue WHERE id = ?

-- name: drop_bindings
DELETE FROM binding WHERE queue = ?

-- name: purge
DELETE FROM message WHERE queue = ? AND lease IS NULL AND seq <= coalesce(?, seq)

-- name: size
SELECT count(*) FROM message WHERE queue = ? AND lease IS NULL AND due IS NULL AND suspect = 0
