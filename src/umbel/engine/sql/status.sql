-- What operators read.

-- name: queues
-- Each count by an index of its own: a million that wait are counted in 40 ms, which looking at their rows takes 600.
SELECT q.name,
       (SELECT count(*) FROM message WHERE queue = q.id AND lease IS NULL AND due IS NULL AND suspect = 0),
       coalesce(d.messages, 0),
       coalesce(l.messages, 0),
       (SELECT count(*) FROM message WHERE queue = q.id AND suspect = 1 AND lease IS NULL),
       q.paused,
       coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'message'), 0)
FROM queue q
LEFT JOIN (SELECT queue, count(*) AS messages FROM message WHERE due IS NOT NULL GROUP BY queue) d ON d.queue = q.id
LEFT JOIN (SELECT queue, count(*) AS messages FROM message WHERE lease IS NOT NULL GROUP BY queue) l ON l.queue = q.id
WHERE q.transient = 0
ORDER BY q.name

-- name: heads
WITH RECURSIVE ranks (rank) AS (SELECT 0 UNION ALL SELECT rank + 1 FROM ranks WHERE rank < 9),
    lines (queue, share, rank) AS (
        SELECT q.id, '', r.rank FROM queue q CROSS JOIN ranks r WHERE q.transient = 0
        UNION ALL
        SELECT queue, share, rank FROM (
            SELECT queue, share, rank, row_number() OVER (PARTITION BY queue ORDER BY rank, turn) AS place
            FROM lane WHERE share <> '') WHERE place <= ?1)
SELECT q.name, m.enqueued, m.payload
FROM lines l JOIN queue q ON q.id = l.queue JOIN message m ON m.seq = (
    SELECT seq FROM message
    WHERE queue = l.queue AND share = l.share AND rank = l.rank AND lease IS NULL AND due IS NULL AND suspect = 0
    ORDER BY seq LIMIT 1)

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
