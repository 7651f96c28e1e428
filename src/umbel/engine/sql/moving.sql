-- Moving to and from another store. Lease -2 is the crate's: nobody fetches, reaps or purges what it has.

-- name: identity
SELECT name FROM identity

-- name: identify
INSERT OR IGNORE INTO identity (one, name) VALUES (1, ?)

-- name: crate
SELECT token, target, label, letters, batches, effects FROM crate

-- name: open_crate
INSERT INTO crate (one, token, target, label, letters, batches, effects) VALUES (1, ?, ?, ?, ?, ?, ?)

-- name: close_crate
DELETE FROM crate WHERE token = ?

-- name: pack_ready
UPDATE message SET lease = -2
WHERE seq IN (
    SELECT seq FROM message
    WHERE queue = ?1 AND lease IS NULL AND due IS NULL AND suspect = 0
    ORDER BY share, rank, seq LIMIT ?2)

-- name: pack_suspects
UPDATE message SET lease = -2
WHERE seq IN (
    SELECT seq FROM message
    WHERE queue = ?1 AND suspect = 1 AND lease IS NULL AND due IS NULL
    ORDER BY seq LIMIT ?2)

-- name: pack_delayed
UPDATE message SET lease = -2
WHERE seq IN (
    SELECT m.seq FROM message m JOIN queue q ON q.id = m.queue
    WHERE m.due IS NOT NULL AND m.lease IS NULL AND q.transient = 0
    ORDER BY m.due, m.seq LIMIT ?1)

-- name: pack_letters
SELECT max(id) FROM (SELECT id FROM dead_letter ORDER BY id LIMIT ?)

-- name: lasting_queues
SELECT id FROM queue WHERE transient = 0 ORDER BY name

-- name: parcels
SELECT q.name, m.payload, m.task_id, 9 - m.rank, m.enqueued, m.due, m.deliveries, m.crashes, m.suspect, m.verdict,
       c.at, c.running
FROM message m JOIN queue q ON q.id = m.queue LEFT JOIN cancelled c ON c.task_id = m.task_id
WHERE m.lease = -2 ORDER BY m.due IS NOT NULL, m.due, q.name, m.suspect, m.rank, m.seq

-- name: letters
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM dead_letter WHERE id <= ? ORDER BY id

-- name: discard_messages
DELETE FROM message WHERE lease = -2

-- name: discard_letters
DELETE FROM dead_letter WHERE id <= ?

-- name: recall
UPDATE message SET lease = NULL WHERE lease = -2

-- name: admit
INSERT OR IGNORE INTO admitted (token, at) VALUES (?, ?)

-- name: forget_admitted
DELETE FROM admitted WHERE at < ?

-- name: admit_message
INSERT INTO message (queue, rank, task_id, due, suspect, deliveries, crashes, verdict, enqueued, payload, share) VALUES {rows}

-- name: keep_cancelled
INSERT OR IGNORE INTO cancelled (task_id, at, running) VALUES {rows}

-- name: keep_state
INSERT INTO result (task_id, state, final, attempt, task, queue, owner, meta, updated, expires) VALUES {rows}
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, final = excluded.final, attempt = excluded.attempt, task = excluded.task,
    queue = excluded.queue, owner = excluded.owner, meta = excluded.meta, updated = excluded.updated,
    expires = excluded.expires
WHERE excluded.updated > result.updated AND excluded.final >= result.final

-- name: keep_group
INSERT OR IGNORE INTO result_group (group_id, meta, expires) VALUES {rows}

-- name: keep_tick
INSERT INTO schedule_run (name, last_run, runs) VALUES {rows}
ON CONFLICT (name) DO UPDATE SET last_run = excluded.last_run, runs = excluded.runs
WHERE excluded.last_run > schedule_run.last_run

-- name: keep_chord
INSERT INTO counter (id, kind, name, allowed, share, size, closed, total, fired, created, updated, finished, expires)
VALUES (?1, 'chord', '', 0, 0, coalesce(?2, 0), ?2 IS NOT NULL, ?3, CASE ?4 WHEN 1 THEN 'finally' ELSE '' END, ?6, ?6,
    CASE ?4 WHEN 1 THEN ?6 END, ?5)
ON CONFLICT (id) DO UPDATE SET size = CASE closed WHEN 1 THEN size ELSE excluded.size END,
    closed = max(closed, excluded.closed), total = max(total, excluded.total),
    fired = CASE fired WHEN '' THEN excluded.fired ELSE fired END, finished = coalesce(finished, excluded.finished),
    updated = excluded.updated, expires = max(expires, excluded.expires)

-- name: keep_chord_part
INSERT OR IGNORE INTO counter_member (counter_id, task_id, state, place, result)
SELECT ?1, ?2, 'd', ?3, ?4 WHERE EXISTS (SELECT 1 FROM counter WHERE id = ?1 AND finished IS NULL)

-- name: count_chord_parts
UPDATE counter SET done = (SELECT count(*) FROM counter_member WHERE counter_id = ?1)
WHERE id = ?1 AND finished IS NULL

-- name: chords
SELECT id, CASE closed WHEN 1 THEN size END, total, finished IS NOT NULL, expires FROM counter
WHERE kind = 'chord' AND id > ?1 AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2)))
ORDER BY id LIMIT ?3

-- name: chord_parts
SELECT task_id, place, result FROM counter_member WHERE counter_id = ?

-- name: states
SELECT seq, task_id, state, final, meta, attempt, task, queue, owner, updated, expires
FROM result WHERE seq > ? AND (expires IS NULL OR expires > ?) ORDER BY seq LIMIT ?

-- name: groups
SELECT group_id, meta, expires FROM result_group WHERE group_id > ? ORDER BY group_id LIMIT ?

-- name: cancelled
SELECT seq, task_id, at, running FROM cancelled WHERE seq > ? ORDER BY seq LIMIT ?

-- name: ticks
SELECT name, last_run, runs FROM schedule_run
