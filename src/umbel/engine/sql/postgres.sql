-- The statements of the state store on PostgreSQL.

-- name: now
SELECT extract(epoch FROM clock_timestamp())::double precision

-- name: note_queue
INSERT INTO umbel.queue (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING

-- name: queue_names
SELECT name FROM umbel.queue ORDER BY name

-- name: note
INSERT INTO umbel.job (task_id, key, queue, priority, task, owner, retries, expires, due, enqueued)
VALUES (%(task_id)s, %(key)s, %(queue)s, %(priority)s, %(task)s, %(owner)s, %(retries)s, %(expires)s, %(due)s,
    extract(epoch FROM clock_timestamp()))
ON CONFLICT (task_id) DO UPDATE SET
    key = excluded.key, queue = excluded.queue, priority = excluded.priority, task = excluded.task,
    owner = excluded.owner, retries = excluded.retries, expires = excluded.expires, due = excluded.due,
    enqueued = excluded.enqueued, token = NULL, seq = NULL
WHERE NOT %(once)s

-- name: unique_new
INSERT INTO umbel.unique_key (name, task_id, until_start, ends)
VALUES (%s, %s, %s, extract(epoch FROM clock_timestamp()) + %s) ON CONFLICT (name) DO NOTHING

-- name: unique_lock
SELECT task_id FROM umbel.unique_key WHERE name = %s FOR UPDATE

-- name: unique_counts
SELECT 1 FROM umbel.unique_key k JOIN umbel.job j ON j.task_id = k.task_id
WHERE k.name = %s AND k.ends > extract(epoch FROM clock_timestamp())
    AND CASE WHEN j.token IS NOT NULL THEN NOT k.until_start
        ELSE NOT EXISTS (SELECT 1 FROM umbel.cancelled c WHERE c.task_id = j.task_id) END

-- name: unique_take
UPDATE umbel.unique_key SET task_id = %s, until_start = %s, ends = extract(epoch FROM clock_timestamp()) + %s
WHERE name = %s

-- name: unique_holder
SELECT k.task_id FROM umbel.unique_key k JOIN umbel.job j ON j.task_id = k.task_id
WHERE k.name = %s AND k.ends > extract(epoch FROM clock_timestamp())
    AND CASE WHEN j.token IS NOT NULL THEN NOT k.until_start
        ELSE NOT EXISTS (SELECT 1 FROM umbel.cancelled c WHERE c.task_id = j.task_id) END

-- name: sweep_uniques
DELETE FROM umbel.unique_key WHERE ends < extract(epoch FROM clock_timestamp())

-- name: breaker_note
INSERT INTO umbel.breaker (name) VALUES (%s) ON CONFLICT DO NOTHING

-- name: breaker_find
SELECT open, probe, until, failures, extract(epoch FROM clock_timestamp())::double precision
FROM umbel.breaker WHERE name = %s

-- name: breaker_lock
SELECT open, probe, until, failures, extract(epoch FROM clock_timestamp())::double precision
FROM umbel.breaker WHERE name = %s FOR UPDATE

-- name: breaker_set
UPDATE umbel.breaker SET failures = %s, open = %s, probe = %s, until = %s WHERE name = %s

-- name: breaker_close
DELETE FROM umbel.breaker WHERE name = %s AND probe = %s

-- name: sweep_breakers
DELETE FROM umbel.breaker WHERE open IS NULL
    AND failures[cardinality(failures)] < extract(epoch FROM clock_timestamp()) - 86400

-- name: lock_take
INSERT INTO umbel.lock AS known (name, owner, fence, ends)
VALUES (%(name)s, %(owner)s, 0, extract(epoch FROM clock_timestamp()) + %(seconds)s)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, ends = excluded.ends
WHERE known.owner = excluded.owner OR known.ends <= extract(epoch FROM clock_timestamp())

-- name: lock_number
UPDATE umbel.lock SET fence = nextval('umbel.fence') WHERE name = %s RETURNING fence

-- name: lock_holder
SELECT fence, ends - extract(epoch FROM clock_timestamp()), owner FROM umbel.lock
WHERE name = %s AND ends > extract(epoch FROM clock_timestamp())

-- name: lock_renew
UPDATE umbel.lock SET ends = extract(epoch FROM clock_timestamp()) + %s
WHERE name = %s AND fence = %s AND ends > extract(epoch FROM clock_timestamp())

-- name: lock_release
DELETE FROM umbel.lock WHERE name = %s AND fence = %s AND ends > extract(epoch FROM clock_timestamp())

-- name: sweep_locks
DELETE FROM umbel.lock WHERE ends < extract(epoch FROM clock_timestamp())

-- name: limit_lock
INSERT INTO umbel.limit_plan AS known (name) VALUES (%s) ON CONFLICT (name) DO UPDATE SET name = known.name

-- name: limit_size
SELECT count(*) FROM umbel.limit_start WHERE name = %s

-- name: limit_before
SELECT at FROM umbel.limit_start WHERE name = %s AND at <= %s ORDER BY at DESC LIMIT %s OFFSET %s

-- name: limit_before_firm
SELECT at FROM umbel.limit_start WHERE name = %s AND at <= %s AND firm ORDER BY at DESC LIMIT %s OFFSET %s

-- name: limit_after
SELECT at FROM umbel.limit_start WHERE name = %s AND at > %s AND at < %s ORDER BY at LIMIT %s

-- name: limit_after_firm
SELECT at FROM umbel.limit_start WHERE name = %s AND at > %s AND at < %s AND firm ORDER BY at LIMIT %s

-- name: limit_put
INSERT INTO umbel.limit_start (name, at, firm, started, owner, ends) VALUES (%s, %s, %s, %s, %s, %s)

-- name: limit_drop
DELETE FROM umbel.limit_start WHERE owner = %s AND name = %s

-- name: limit_forget
DELETE FROM umbel.limit_start WHERE name = %s AND at < %s AND started

-- name: limit_plan
SELECT rule, "full", firm_full, started, firm, planned FROM umbel.limit_plan WHERE name = %s

-- name: limit_plan_put
INSERT INTO umbel.limit_plan (name, rule, "full", firm_full, started, firm, planned, ends)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET
    rule = excluded.rule, "full" = excluded."full", firm_full = excluded.firm_full, started = excluded.started,
    firm = excluded.firm, planned = excluded.planned, ends = excluded.ends

-- name: limit_reopen
UPDATE umbel.limit_plan SET "full" = %s WHERE name = %s AND "full" > %s

-- name: limit_waited
SELECT at FROM umbel.limit_wait WHERE base = %s AND owner = %s

-- name: limit_wait_end
DELETE FROM umbel.limit_wait WHERE base = %s AND owner = %s

-- name: limit_wait_put
INSERT INTO umbel.limit_wait (base, owner, at) VALUES (%s, %s, %s)
ON CONFLICT (base, owner) DO UPDATE SET at = excluded.at

-- name: limit_changes
SELECT base, count, seconds, burst FROM umbel.limit_change

-- name: limit_change
INSERT INTO umbel.limit_change (base, count, seconds, burst) VALUES (%s, %s, %s, %s)
ON CONFLICT (base) DO UPDATE SET count = excluded.count, seconds = excluded.seconds, burst = excluded.burst

-- name: limit_reset
DELETE FROM umbel.limit_change WHERE base = %s

-- name: limit_waiting
SELECT count(w.at), coalesce(max(w.at), 0)::double precision, coalesce(max(l.lag), 0)::double precision
FROM (VALUES (%s::text)) AS asked (base)
LEFT JOIN umbel.limit_wait w ON w.base = asked.base LEFT JOIN umbel.limit_lag l ON l.base = asked.base

-- name: limit_lag
INSERT INTO umbel.limit_lag (base, lag) VALUES (%s, %s) ON CONFLICT (base) DO UPDATE SET lag = excluded.lag

-- name: sweep_limit_starts
DELETE FROM umbel.limit_start WHERE ends < extract(epoch FROM clock_timestamp())

-- name: sweep_limit_plans
DELETE FROM umbel.limit_plan WHERE ends < extract(epoch FROM clock_timestamp())

-- name: sweep_limit_waits
DELETE FROM umbel.limit_wait WHERE at < extract(epoch FROM clock_timestamp()) - 2592000

-- name: lane_queues
SELECT queue FROM umbel.lanes

-- name: lanes_open
INSERT INTO umbel.lanes (queue, tails, heads, before)
SELECT %(queue)s, none.zeros, none.zeros, none.zeros FROM (SELECT array_fill(0::bigint, ARRAY[%(lanes)s::int]) AS zeros) AS none
ON CONFLICT DO NOTHING

-- name: lanes_lock
SELECT tails, heads, before, looked, extract(epoch FROM clock_timestamp())::double precision
FROM umbel.lanes WHERE queue = %s FOR UPDATE

-- name: lanes_write
UPDATE umbel.lanes SET tails = %s, heads = %s, before = %s, looked = %s WHERE queue = %s

-- name: lane_shares
SELECT share, lane, number FROM umbel.lane_share WHERE queue = %s AND share = ANY(%s)

-- name: lane_share
INSERT INTO umbel.lane_share (queue, share, lane, number) VALUES (%s, %s, %s, %s)
ON CONFLICT (queue, share) DO UPDATE SET lane = excluded.lane, number = excluded.number

-- name: lane_sweep
DELETE FROM umbel.lane_share USING umbel.lanes
WHERE lanes.queue = %s AND lane_share.queue = lanes.queue AND lane_share.number <= lanes.heads[lane_share.lane + 1]

-- name: slot_lock
SELECT pg_advisory_xact_lock(7304182, hashtext(%s))

-- name: slot_take
WITH gone AS (
    DELETE FROM umbel.slot WHERE name = %(name)s
        AND (owner = %(owner)s OR ends <= extract(epoch FROM clock_timestamp()))
    RETURNING fence
), taken AS (
    SELECT count(*) AS count FROM umbel.slot WHERE name = %(name)s AND fence NOT IN (SELECT fence FROM gone)
)
INSERT INTO umbel.slot (fence, name, owner, ends)
SELECT nextval('umbel.fence'), %(name)s, %(owner)s, extract(epoch FROM clock_timestamp()) + %(seconds)s
FROM taken WHERE taken.count < %(most)s
RETURNING fence

-- name: slot_holders
SELECT fence, ends - extract(epoch FROM clock_timestamp()), owner FROM umbel.slot
WHERE name = %s AND ends > extract(epoch FROM clock_timestamp()) ORDER BY ends

-- name: slot_renew
UPDATE umbel.slot SET ends = extract(epoch FROM clock_timestamp()) + %s
WHERE name = %s AND fence = %s AND ends > extract(epoch FROM clock_timestamp())

-- name: slot_release
DELETE FROM umbel.slot WHERE name = %s AND fence = %s AND ends > extract(epoch FROM clock_timestamp())

-- name: sweep_slots
DELETE FROM umbel.slot WHERE ends < extract(epoch FROM clock_timestamp())

-- name: unnote
DELETE FROM umbel.job WHERE task_id = ANY(%s)

-- name: lease_lives
SELECT 1 FROM umbel.lease WHERE token = %s FOR SHARE

-- name: claim_new
INSERT INTO umbel.claim (key, kind, task_id, queue, ends)
VALUES (%s, 'f', %s, %s, extract(epoch FROM clock_timestamp()) + 2592000)
ON CONFLICT (key) DO NOTHING

-- name: claim_lock
SELECT key, kind, token, seq, enqueued, deliveries, crashes, verdict,
    ends < extract(epoch FROM clock_timestamp()) AS old
FROM umbel.claim WHERE key = ANY(%s) ORDER BY key FOR UPDATE

-- name: claim_jobs
SELECT task_id, enqueued FROM umbel.job WHERE task_id = ANY(%s)

-- name: cancelled_among
SELECT task_id, running FROM umbel.cancelled WHERE task_id = ANY(%s)

-- name: claim_hold
UPDATE umbel.claim SET kind = 'h', token = %(token)s, seq = %(seq)s, task_id = %(task_id)s, queue = %(queue)s,
    enqueued = %(enqueued)s, alone = %(alone)s, moved = false, verdict = %(verdict)s,
    ends = extract(epoch FROM clock_timestamp()) + 2592000
WHERE key = %(key)s

-- name: claim_moved
UPDATE umbel.claim SET moved = true WHERE key = %s

-- name: job_held
UPDATE umbel.job SET token = %s, seq = %s, due = NULL WHERE task_id = %s

-- name: held_among
SELECT seq, key, task_id, queue, deliveries, crashes, alone, verdict FROM umbel.claim
WHERE token = %s AND kind = 'h' AND seq = ANY(%s) ORDER BY key FOR UPDATE

-- name: held_all
SELECT seq, key, task_id, queue, deliveries, crashes, alone, verdict FROM umbel.claim
WHERE token = %s AND kind = 'h' ORDER BY key FOR UPDATE

-- name: claim_end
UPDATE umbel.claim SET kind = 'e', token = NULL, seq = NULL, ends = extract(epoch FROM clock_timestamp()) + %s
WHERE key = %s

-- name: job_end
DELETE FROM umbel.job WHERE task_id = %s AND token = %s AND seq = %s

-- name: claim_free
UPDATE umbel.claim SET kind = %s, token = NULL, seq = NULL, deliveries = deliveries + 1, crashes = %s, verdict = %s,
    moved = alone,
    ends = extract(epoch FROM clock_timestamp()) + 2592000
WHERE key = %s

-- name: job_free
UPDATE umbel.job SET token = NULL, seq = NULL WHERE task_id = %s AND token = %s AND seq = %s

-- name: store
INSERT INTO umbel.result (task_id, state, final, attempt, task, queue, owner, meta, is_text, updated, expires, since)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, extract(epoch FROM clock_timestamp()),
    extract(epoch FROM clock_timestamp()) + %s::double precision, %s)
ON CONFLICT (task_id) DO UPDATE SET
    state = excluded.state, final = excluded.final, attempt = excluded.attempt,
    task = coalesce(excluded.task, umbel.result.task), queue = coalesce(excluded.queue, umbel.result.queue),
    owner = coalesce(excluded.owner, umbel.result.owner), meta = excluded.meta, is_text = excluded.is_text,
    updated = excluded.updated, expires = excluded.expires, since = excluded.since
WHERE excluded.since > umbel.result.updated OR (NOT umbel.result.final AND NOT %s
    -- What an earlier try says of its own end may come after the next one has begun; so may what one says that was put off.
    AND NOT (NOT excluded.final AND excluded.since > 0
        AND (excluded.attempt, excluded.since) < (umbel.result.attempt, umbel.result.since)))

-- name: read
SELECT task_id, state, final, meta, is_text, attempt, task, queue, owner, updated FROM umbel.result
WHERE task_id = ANY(%s) AND (expires IS NULL OR expires > extract(epoch FROM clock_timestamp()))

-- name: forget
DELETE FROM umbel.result WHERE task_id = %s

-- name: announce
INSERT INTO umbel.counter AS counter (id, kind, name, allowed, share, size, closed, total, created, updated, expires)
VALUES (%(chord)s, 'chord', '', 0, false, coalesce(%(size)s::bigint, 0), %(size)s::bigint IS NOT NULL, %(extra)s,
    extract(epoch FROM clock_timestamp()), extract(epoch FROM clock_timestamp()),
    coalesce(%(expires)s::double precision, extract(epoch FROM clock_timestamp()) + %(kept)s))
ON CONFLICT (id) DO UPDATE SET
    size = CASE WHEN counter.closed THEN counter.size ELSE excluded.size END, closed = counter.closed OR excluded.closed,
    total = counter.total + excluded.total, updated = excluded.updated, expires = greatest(counter.expires, excluded.expires)

-- name: bring
INSERT INTO umbel.counter_member (counter_id, task_id, state, place, result, is_text)
SELECT %(chord)s, %(task)s, %(outcome)s, %(place)s, %(result)s, %(is_text)s
WHERE NOT EXISTS (SELECT 1 FROM umbel.counter WHERE id = %(chord)s AND finished IS NOT NULL)
ON CONFLICT DO NOTHING

-- name: brought
SELECT task_id, result, is_text FROM umbel.counter_member WHERE counter_id = %s ORDER BY place, task_id

-- name: chord_over
INSERT INTO umbel.counter AS counter (id, kind, name, allowed, share, fired, created, updated, finished, expires)
VALUES (%s, 'chord', '', 0, false, 'finally', extract(epoch FROM clock_timestamp()), extract(epoch FROM clock_timestamp()),
    extract(epoch FROM clock_timestamp()), extract(epoch FROM clock_timestamp()) + %s)
ON CONFLICT (id) DO UPDATE SET fired = 'finally', finished = excluded.finished WHERE counter.finished IS NULL

-- name: drop_members
DELETE FROM umbel.counter_member WHERE counter_id = %s

-- name: chords_complete
SELECT id FROM umbel.counter
WHERE kind = 'chord' AND finished IS NULL AND updated < %s AND closed AND done + failed + gone >= total + size
ORDER BY updated LIMIT %s

-- name: sweep_counters
DELETE FROM umbel.counter WHERE expires < extract(epoch FROM clock_timestamp())

-- name: save_group
INSERT INTO umbel.result_group (group_id, meta, is_text, expires) VALUES (%s, %s, %s, %s)
ON CONFLICT (group_id) DO UPDATE SET meta = excluded.meta, is_text = excluded.is_text, expires = excluded.expires

-- name: read_group
SELECT meta, is_text FROM umbel.result_group WHERE group_id = %s

-- name: forget_group
DELETE FROM umbel.result_group WHERE group_id = %s

-- name: post
INSERT INTO umbel.outbox (token, at, queue, payload, task_id, priority, due)
VALUES (%s, extract(epoch FROM clock_timestamp()), %s, %s, %s, %s, %s) RETURNING number

-- name: outbox
SELECT number, token, at, queue, payload, task_id, priority, due FROM umbel.outbox ORDER BY number

-- name: posted
DELETE FROM umbel.outbox WHERE number = ANY(%s)

-- name: suspects
SELECT count(*) FROM umbel.claim WHERE kind IN ('s', 'c') AND moved AND (%s::text[] IS NULL OR queue = ANY(%s))

-- name: cancel_look
SELECT r.final, r.updated, j.enqueued FROM (SELECT %s::text AS task_id) AS t
LEFT JOIN umbel.result AS r ON r.task_id = t.task_id LEFT JOIN umbel.job AS j ON j.task_id = t.task_id

-- name: cancel
INSERT INTO umbel.cancelled (task_id, at, running) VALUES (%s, extract(epoch FROM clock_timestamp()), %s)
ON CONFLICT (task_id) DO UPDATE SET
    at = excluded.at, running = excluded.running, number = nextval('umbel.cancelled_number_seq')

-- name: cancelled_of
SELECT c.task_id FROM umbel.claim AS m JOIN umbel.cancelled AS c USING (task_id)
WHERE m.token = %s AND m.kind = 'h' AND c.running

-- name: cancel_mark
SELECT coalesce(max(number), 0) FROM umbel.cancelled

-- name: ticked
INSERT INTO umbel.tick (entry, last_run, runs) VALUES (%s, %s, %s)
ON CONFLICT (entry) DO UPDATE SET last_run = excluded.last_run, runs = excluded.runs WHERE tick.runs < excluded.runs

-- name: lead
INSERT INTO umbel.leader AS leader (name, term, token, beat) VALUES (%(name)s, nextval('umbel.terms'), %(token)s, 0)
ON CONFLICT (name) DO UPDATE SET
    term = CASE WHEN leader.token = excluded.token THEN leader.term ELSE excluded.term END,
    token = excluded.token,
    beat = CASE WHEN leader.token = excluded.token THEN leader.beat + 1 ELSE 0 END
WHERE leader.token = excluded.token OR (leader.term = %(dead_term)s AND leader.beat = %(dead_beat)s)
RETURNING term

-- name: leads
SELECT term, beat FROM umbel.leader WHERE name = %s

-- name: leader_holds
SELECT 1 FROM umbel.leader WHERE name = %s AND term::text = %s FOR SHARE

-- name: resign
DELETE FROM umbel.leader WHERE name = %s AND token = %s

-- name: pause
INSERT INTO umbel.queue (name, paused) VALUES (%s, %s) ON CONFLICT (name) DO UPDATE SET paused = excluded.paused

-- name: paused
SELECT name FROM umbel.queue WHERE paused

-- name: last_ticks
SELECT entry, last_run, runs FROM umbel.tick

-- name: count_delayed
SELECT queue, count(*) FROM umbel.job WHERE due > extract(epoch FROM clock_timestamp()) GROUP BY queue

-- name: count_claims
SELECT queue, kind, count(*) FROM umbel.claim WHERE kind = 'h' OR (kind IN ('s', 'c') AND moved) GROUP BY queue, kind

-- name: drop_delayed
WITH dropped AS (
    DELETE FROM umbel.job WHERE queue = %s AND due > extract(epoch FROM clock_timestamp()) RETURNING key, task_id, queue, due
)
INSERT INTO umbel.claim (key, kind, task_id, queue, ends) SELECT key, 'e', task_id, queue, due + %s FROM dropped
ON CONFLICT (key) DO UPDATE SET kind = 'e', token = NULL, seq = NULL, ends = excluded.ends

-- name: locate
SELECT j.queue, j.priority, j.task, j.owner, j.retries, j.expires, j.due, j.enqueued, l.number,
    coalesce(c.deliveries, 0), coalesce(c.crashes, 0), coalesce(c.kind = 's' OR (c.kind = 'h' AND c.alone), false),
    j.token IS NOT NULL,
    EXISTS (SELECT 1 FROM umbel.cancelled AS x WHERE x.task_id = j.task_id)
FROM umbel.job AS j LEFT JOIN umbel.lease AS l ON l.token = j.token LEFT JOIN umbel.claim AS c ON c.key = j.key
WHERE j.task_id = %s

-- name: letter_bury
INSERT INTO umbel.letter (task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception,
    fingerprint, failures, replays, replaying)
VALUES (%(task_id)s, %(task)s, %(queue)s, %(reason)s, %(deliveries)s, extract(epoch FROM clock_timestamp()), %(payload)s,
    %(key)s, %(owner)s, %(release)s, %(exception)s, %(fingerprint)s, %(failures)s, %(replays)s, %(replaying)s)
ON CONFLICT (key) DO UPDATE SET
    id = nextval('umbel.letter_id_seq'), task_id = excluded.task_id, task = excluded.task, queue = excluded.queue,
    reason = excluded.reason, deliveries = excluded.deliveries, died = excluded.died, payload = excluded.payload,
    owner = excluded.owner, release = excluded.release, exception = excluded.exception,
    fingerprint = excluded.fingerprint, failures = excluded.failures,
    replays = greatest(letter.replays, excluded.replays), replaying = excluded.replaying

-- name: letter_close
DELETE FROM umbel.letter WHERE key = %s

-- name: letter_reopen
UPDATE umbel.letter SET replaying = false WHERE key = %s

-- name: letter_replay
UPDATE umbel.letter SET replays = replays + 1, replaying = true
WHERE id = %s AND key = %s AND replays = %s AND (NOT replaying OR %s)

-- name: letters_find
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM umbel.letter
WHERE (%(after)s::bigint IS NULL OR CASE WHEN %(oldest)s::boolean THEN id > %(after)s ELSE id < %(after)s END)
  AND (%(numbers)s::bigint[] IS NULL OR id = ANY(%(numbers)s::bigint[]))
  AND (%(queue)s::text IS NULL OR queue = %(queue)s)
  AND (%(task)s::text IS NULL OR task = %(task)s)
  AND (%(exception)s::text IS NULL OR exception = %(exception)s
       OR right(exception, length(%(exception)s::text) + 1) = '.' || %(exception)s::text)
  AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)
  AND (%(release)s::text IS NULL OR release = %(release)s)
  AND (%(owner)s::text IS NULL OR owner = %(owner)s)
  AND (%(since)s::double precision IS NULL OR died >= %(since)s)
  AND (%(before)s::double precision IS NULL OR died < %(before)s)
  AND (%(replaying)s::boolean IS NULL OR replaying = %(replaying)s)
  AND (%(fewer_than)s::int IS NULL OR replays < %(fewer_than)s)
ORDER BY CASE WHEN %(oldest)s::boolean THEN id ELSE -id END LIMIT %(limit)s

-- name: letters_read
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM umbel.letter WHERE key = ANY(%s) ORDER BY id DESC

-- name: letters_get
SELECT id, task_id, task, queue, reason, deliveries, died, payload, key, owner, release, exception, fingerprint,
    failures, replays, replaying
FROM umbel.letter WHERE id = %s

-- name: letters_count
SELECT count(*) FROM umbel.letter

-- name: letters_drop
DELETE FROM umbel.letter WHERE id = ANY(%s)

-- name: letters_prune_old
DELETE FROM umbel.letter WHERE died < extract(epoch FROM clock_timestamp()) - %s

-- name: letters_prune_many
DELETE FROM umbel.letter WHERE id <= (SELECT id FROM umbel.letter ORDER BY id DESC LIMIT 1 OFFSET %s)

-- name: lease_open
INSERT INTO umbel.lease (token, hostname, pid, queues, concurrency, started, host, beat)
VALUES (%s, %s, %s, %s, %s, %s, %s, extract(epoch FROM clock_timestamp())) RETURNING number

-- name: lease_retire
UPDATE umbel.lease SET queues = '{}' WHERE token = %s

-- name: lease_renew
UPDATE umbel.lease SET beat = extract(epoch FROM clock_timestamp()) WHERE token = ANY(%s) RETURNING token

-- name: lease_all
SELECT token, number, hostname, pid, queues, concurrency, started, host FROM umbel.lease ORDER BY number

-- name: lease_beat
SELECT beat FROM umbel.lease WHERE token = %s

-- name: lease_end
DELETE FROM umbel.lease WHERE token = %s AND (%s::double precision IS NULL OR beat = %s)

-- name: lease_held
SELECT count(*) FROM umbel.claim WHERE token = %s

-- name: sweep_results
DELETE FROM umbel.result WHERE expires < extract(epoch FROM clock_timestamp())

-- name: sweep_claims
DELETE FROM umbel.claim WHERE ends < extract(epoch FROM clock_timestamp()) AND kind <> 'h'

-- name: sweep_groups
DELETE FROM umbel.result_group WHERE expires < extract(epoch FROM clock_timestamp())

-- name: sweep_cancelled
DELETE FROM umbel.cancelled WHERE at < extract(epoch FROM clock_timestamp()) - 86400
    AND NOT EXISTS (SELECT 1 FROM umbel.job WHERE job.task_id = cancelled.task_id)

-- name: sweep_jobs
DELETE FROM umbel.job WHERE enqueued < extract(epoch FROM clock_timestamp()) - 2592000
    AND (due IS NULL OR due < extract(epoch FROM clock_timestamp()))

-- name: batch_open
INSERT INTO umbel.counter (id, name, allowed, share, owner, opener, created, updated, expires)
VALUES (%s, %s, %s, %s, %s, %s, extract(epoch FROM clock_timestamp()), extract(epoch FROM clock_timestamp()),
    extract(epoch FROM clock_timestamp()) + %s)
ON CONFLICT DO NOTHING

-- name: batch_callback
INSERT INTO umbel.batch_callback (batch_id, kind, number, message) VALUES (%s, %s, %s, %s)

-- name: batch_called
DELETE FROM umbel.batch_callback WHERE batch_id = %s AND kind = %s RETURNING number, message

-- name: batch_lock
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished, kind, size
FROM umbel.counter WHERE id = %s FOR UPDATE

-- name: batch_member
INSERT INTO umbel.counter_member (counter_id, task_id) VALUES (%s, %s) ON CONFLICT DO NOTHING

-- name: batch_grow
UPDATE umbel.counter SET total = total + %s, updated = extract(epoch FROM clock_timestamp()),
    expires = extract(epoch FROM clock_timestamp()) + %s WHERE id = %s

-- name: batch_close
UPDATE umbel.counter SET closed = true, updated = extract(epoch FROM clock_timestamp()) WHERE id = %(id)s

-- name: batch_cancel
UPDATE umbel.counter SET closed = true, cancelled = true, updated = extract(epoch FROM clock_timestamp())
WHERE id = %(id)s AND NOT cancelled AND finished IS NULL

-- name: batch_recount
UPDATE umbel.counter SET
    total = found.total, done = found.done, failed = found.failed, gone = found.gone,
    updated = extract(epoch FROM clock_timestamp())
FROM (
    SELECT count(*) AS total, count(*) FILTER (WHERE state = 'd') AS done, count(*) FILTER (WHERE state = 'f') AS failed,
        count(*) FILTER (WHERE state = 'c') AS gone
    FROM umbel.counter_member WHERE counter_id = %(id)s
) AS found
WHERE id = %(id)s

-- name: count_end
WITH old AS (
    SELECT counter_id, task_id, state FROM umbel.counter_member
    WHERE counter_id = %(counter)s AND task_id = %(task)s FOR UPDATE
)
UPDATE umbel.counter_member AS m SET state = %(outcome)s FROM old
WHERE m.counter_id = old.counter_id AND m.task_id = old.task_id AND old.state <> %(outcome)s
    AND (old.state = 'p' OR %(outcome)s = 'd')
RETURNING m.counter_id, old.state, m.state

-- name: count
UPDATE umbel.counter SET done = done + %s, failed = failed + %s, gone = gone + %s, updated = extract(epoch FROM clock_timestamp())
WHERE id = %s
RETURNING id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished, kind, size

-- name: batch_fired
UPDATE umbel.counter SET fired = %s,
    finished = CASE WHEN %s THEN extract(epoch FROM clock_timestamp()) ELSE finished END,
    expires = extract(epoch FROM clock_timestamp()) + %s
WHERE id = %s

-- name: batch_read
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished, kind, size
FROM umbel.counter WHERE id = %s

-- name: batch_find
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished, kind, size
FROM umbel.counter WHERE kind = 'batch' ORDER BY created DESC LIMIT %s

-- name: batch_stale
SELECT id, name, allowed, share, owner, opener, closed, cancelled, total, done, failed, gone, fired, created, updated, finished, kind, size
FROM umbel.counter WHERE kind = 'batch' AND finished IS NULL AND updated < %s ORDER BY updated LIMIT %s

-- name: batch_pending
SELECT task_id, EXISTS (SELECT 1 FROM umbel.job WHERE job.task_id = counter_member.task_id)
FROM umbel.counter_member WHERE counter_id = %s AND state = 'p' AND task_id > %s ORDER BY task_id LIMIT 500

-- name: batch_stop
INSERT INTO umbel.cancelled (task_id, at, running)
SELECT %(id)s, extract(epoch FROM clock_timestamp()), true
WHERE NOT EXISTS (SELECT 1 FROM umbel.result WHERE task_id = %(id)s AND final)
ON CONFLICT (task_id) DO UPDATE SET
    at = excluded.at, running = true, number = nextval('umbel.cancelled_number_seq')

-- name: checkpoint_take
INSERT INTO umbel.checkpoint_fence AS held (task_id, fence, expires)
VALUES (%s, %s, extract(epoch FROM clock_timestamp()) + %s)
ON CONFLICT (task_id) DO UPDATE SET fence = excluded.fence, expires = excluded.expires WHERE held.fence <= excluded.fence

-- name: checkpoint_cursors
SELECT name, cursor FROM umbel.checkpoint WHERE task_id = %s

-- name: checkpoint_holds
UPDATE umbel.checkpoint_fence SET expires = extract(epoch FROM clock_timestamp()) + %s WHERE task_id = %s AND fence = %s

-- name: checkpoint_save
INSERT INTO umbel.checkpoint (task_id, name, cursor) VALUES (%s, %s, %s)
ON CONFLICT (task_id, name) DO UPDATE SET cursor = excluded.cursor

-- name: checkpoint_drop
DELETE FROM umbel.checkpoint_fence WHERE task_id = ANY(%s)

-- name: checkpoint_sweep
DELETE FROM umbel.checkpoint_fence WHERE expires < extract(epoch FROM clock_timestamp())

-- name: event_expect
INSERT INTO umbel.recorder AS r (id, until) VALUES (1, extract(epoch FROM clock_timestamp()) + %s)
ON CONFLICT (id) DO UPDATE SET until = greatest(r.until, excluded.until)

-- name: event_identity
INSERT INTO umbel.recorder AS r (id, until) VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET until = r.until RETURNING identity

-- name: event_kept
SELECT until > extract(epoch FROM clock_timestamp()) FROM umbel.recorder

-- name: event_room
-- Whoever is about to write says so before a number is given to him, and until his transaction is over.
SELECT r.until > extract(epoch FROM clock_timestamp()),
    coalesce((SELECT max(number) - min(number) FROM umbel.event), 0) < %s,
    pg_advisory_xact_lock_shared(7304183, 0) FROM umbel.recorder AS r

-- name: event_lose
UPDATE umbel.recorder SET lost = lost + %s

-- name: event_queued
INSERT INTO umbel.event (at, task_id, queue, priority, due, payload)
SELECT coalesce((SELECT enqueued FROM umbel.job WHERE task_id = m.task_id), extract(epoch FROM clock_timestamp())), m.*
FROM (VALUES (%s::text, %s::text, %s::integer, %s::double precision, %s::text))
    AS m (task_id, queue, priority, due, payload)

-- name: event_ended
INSERT INTO umbel.event (at, ends) VALUES (extract(epoch FROM clock_timestamp()), %s)

-- name: event_given
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM umbel.event_number_seq

-- name: event_writers
SELECT virtualtransaction FROM pg_locks
WHERE locktype = 'advisory' AND classid = 7304183 AND objid = 0 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: event_read
SELECT number, at, task_id, queue, priority, due, payload, ends FROM umbel.event
WHERE number > %s AND number <= %s ORDER BY number LIMIT %s

-- name: event_drop
DELETE FROM umbel.event WHERE number <= %s

-- name: event_lost
SELECT lost FROM umbel.recorder

-- name: event_size
SELECT count(*) FROM umbel.event
