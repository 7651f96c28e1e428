-- What happened to jobs.

-- name: expect
INSERT INTO recorder (id, until) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET until = max(until, excluded.until)

-- name: kept
SELECT until > ? FROM recorder

-- name: room
SELECT coalesce((SELECT max(number) FROM event) - (SELECT min(number) FROM event), 0) < ?

-- name: lose
UPDATE recorder SET lost = lost + ?

-- name: hush
UPDATE recorder SET hushed = 1 WHERE until > ?

-- name: unhush
UPDATE recorder SET hushed = 0

-- name: queued
INSERT INTO event (at, task_id, queue, priority, due, body)
SELECT enqueued, task_id, queue, 9 - rank, due, payload FROM message WHERE seq > ? ORDER BY seq

-- name: ended
INSERT INTO event (at, body) VALUES (?, ?)

-- name: read
SELECT e.number, e.at, e.task_id, q.name, e.priority, e.due, e.body
FROM (SELECT * FROM event WHERE number > ?1 ORDER BY number LIMIT ?2) e LEFT JOIN queue q ON q.id = e.queue
ORDER BY e.number

-- name: drop
DELETE FROM event WHERE number <= ?

-- name: lost
SELECT lost FROM recorder

-- name: size
SELECT count(*) FROM event
