-- What operators read.

-- name: queues
SELECT q.name,
       coalesce(sum(m.lease IS NULL AND m.due IS NULL AND m.suspect = 0), 0),
       coalesce(sum(m.due IS NOT NULL), 0),
       coalesce(sum(m.lease IS NOT NULL), 0),
       coalesce(sum(m.suspect = 1 AND m.lease IS NULL), 0),
       q.paused
FROM queue q LEFT JOIN message m ON m.queue = q.id
WHERE q.transient = 0
GROUP BY q.id ORDER BY q.name

-- name: workers
SELECT l.id, l.token, l.hostname, l.pid, l.queues, l.concurrency, l.started,
       (SELECT count(*) FROM message m WHERE m.lease = l.id)
FROM lease l ORDER BY l.hostname

-- name: locate
SELECT m.task_id, q.name, m.rank, m.due, m.lease, m.suspect, m.deliveries, m.crashes, m.enqueued, m.payload,
       m.queue, m.seq, m.share, EXISTS (SELECT 1 FROM cancelled c WHERE c.task_id = m.task_id)
FROM message m JOIN queue q ON q.id = m.queue
WHERE m.task_id = ? ORDER BY m.seq DESC LIMIT 1

-- name: position
SELECT count(*) FROM message
WHERE queue = ?1 AND share = ?4 AND lease IS NULL AND due IS NULL AND suspect = 0 AND (rank < ?2 OR (rank = ?2 AND seq < ?3))

-- name: schedule_read
SELECT name, last_run, runs FROM schedule_run

-- name: schedule_runs
SELECT runs FROM schedule_run WHERE name = ?

-- name: schedule_write
INSERT INTO schedule_run (name, last_run, runs) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET last_run = excluded.last_run, runs = excluded.runs
