-- The state store on PostgreSQL, beside RabbitMQ. Times are unix seconds by the server's clock.

CREATE SCHEMA IF NOT EXISTS umbel;

CREATE TABLE IF NOT EXISTS umbel.queue (name text PRIMARY KEY, paused boolean NOT NULL DEFAULT false);

-- A job whose message is at the broker (token NULL) or claimed.
CREATE TABLE IF NOT EXISTS umbel.job (
    task_id text PRIMARY KEY,
    key text NOT NULL,
    queue text NOT NULL,
    priority int NOT NULL,
    task text,
    owner text,
    retries int NOT NULL,
    expires text,
    due double precision,
    enqueued double precision NOT NULL,
    token text,
    seq bigint
);
CREATE INDEX IF NOT EXISTS job_due ON umbel.job (queue, due) WHERE due IS NOT NULL;

-- Who runs a message: kind is h held, f free, s suspect, c condemned, e ended.
CREATE TABLE IF NOT EXISTS umbel.claim (
    key text PRIMARY KEY,
    kind text NOT NULL,
    token text,
    seq bigint,
    task_id text,
    queue text NOT NULL,
    enqueued double precision NOT NULL DEFAULT 0,
    deliveries int NOT NULL DEFAULT 0,
    crashes int NOT NULL DEFAULT 0,
    verdict text,
    alone boolean NOT NULL DEFAULT false,
    moved boolean NOT NULL DEFAULT false,
    ends double precision NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS claim_held ON umbel.claim (token, seq) WHERE token IS NOT NULL;
CREATE INDEX IF NOT EXISTS claim_ends ON umbel.claim (ends);
CREATE INDEX IF NOT EXISTS claim_suspect ON umbel.claim (queue) WHERE moved;

CREATE TABLE IF NOT EXISTS umbel.result (
    task_id text PRIMARY KEY,
    state text NOT NULL,
    final boolean NOT NULL,
    attempt int NOT NULL,
    task text,
    queue text,
    owner text,
    meta bytea NOT NULL,
    is_text boolean NOT NULL,
    updated double precision NOT NULL,
    expires double precision,
    since double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS result_expires ON umbel.result (expires) WHERE expires IS NOT NULL;

CREATE TABLE IF NOT EXISTS umbel.result_group (
    group_id text PRIMARY KEY, meta bytea NOT NULL, is_text boolean NOT NULL, expires double precision
);

CREATE TABLE IF NOT EXISTS umbel.cancelled (
    task_id text PRIMARY KEY, at double precision NOT NULL, running boolean NOT NULL, number bigserial
);

-- Keys that one job has at a time. A key counts for as long as the job is known.
CREATE TABLE IF NOT EXISTS umbel.unique_key (
    name text PRIMARY KEY, task_id text NOT NULL, until_start boolean NOT NULL, ends double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS unique_key_ends ON umbel.unique_key (ends);

-- Locks by name.
CREATE SEQUENCE IF NOT EXISTS umbel.fence;
CREATE TABLE IF NOT EXISTS umbel.lock (
    name text PRIMARY KEY, owner text NOT NULL, fence bigint NOT NULL, ends double precision NOT NULL
);

-- Circuit breakers by name.
CREATE TABLE IF NOT EXISTS umbel.breaker (
    name text PRIMARY KEY, failures double precision[] NOT NULL DEFAULT '{}', open double precision, probe text,
    until double precision
);

-- Jobs that are counted together.
-- What counts ends, of batches and of chords. Members are added one by one (total), or announced by their number (size); closed:
-- nothing more is announced.
ALTER TABLE IF EXISTS umbel.batch RENAME TO counter;
DO $$ BEGIN
    IF to_regclass('umbel.batch_member') IS NOT NULL THEN
        ALTER TABLE umbel.batch_member RENAME TO counter_member;
        ALTER TABLE umbel.counter_member RENAME COLUMN batch_id TO counter_id;
    END IF;
END $$;
DROP INDEX IF EXISTS umbel.batch_created;
DROP INDEX IF EXISTS umbel.batch_unfinished;
CREATE TABLE IF NOT EXISTS umbel.counter (
    id text PRIMARY KEY,
    name text NOT NULL,
    allowed bigint NOT NULL,
    share boolean NOT NULL,
    owner text,
    opener text,
    closed boolean NOT NULL DEFAULT false,
    cancelled boolean NOT NULL DEFAULT false,
    total bigint NOT NULL DEFAULT 0,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    gone bigint NOT NULL DEFAULT 0,
    fired text NOT NULL DEFAULT '',
    created double precision NOT NULL,
    updated double precision NOT NULL,
    finished double precision,
    expires double precision NOT NULL
);
ALTER TABLE umbel.counter ADD COLUMN IF NOT EXISTS kind text NOT NULL DEFAULT 'batch';
ALTER TABLE umbel.counter ADD COLUMN IF NOT EXISTS size bigint NOT NULL DEFAULT 0;
CREATE INDEX IF NOT EXISTS counter_created ON umbel.counter (created) WHERE kind = 'batch';
CREATE INDEX IF NOT EXISTS counter_unfinished ON umbel.counter (kind, updated) WHERE finished IS NULL;
CREATE INDEX IF NOT EXISTS counter_expires ON umbel.counter (expires);
-- p pending, d done, f failed, c cancelled. What a chord's member brings to the callback has a place among the others.
CREATE TABLE IF NOT EXISTS umbel.counter_member (
    counter_id text NOT NULL REFERENCES umbel.counter ON DELETE CASCADE,
    task_id text NOT NULL,
    state text NOT NULL DEFAULT 'p',
    PRIMARY KEY (counter_id, task_id)
);
ALTER TABLE umbel.counter_member ADD COLUMN IF NOT EXISTS place int;
ALTER TABLE umbel.counter_member ADD COLUMN IF NOT EXISTS result bytea;
ALTER TABLE umbel.counter_member ADD COLUMN IF NOT EXISTS is_text boolean;
-- Chords had tables of their own.
DO $$ BEGIN
    IF to_regclass('umbel.chord') IS NOT NULL THEN
        INSERT INTO umbel.counter
            (id, kind, name, allowed, share, closed, size, total, done, fired, created, updated, finished, expires)
        SELECT group_id, 'chord', '', 0, false, size IS NOT NULL, coalesce(size, 0), extra, parts,
            CASE WHEN fired THEN 'finally' ELSE '' END, extract(epoch FROM clock_timestamp()),
            extract(epoch FROM clock_timestamp()), CASE WHEN fired THEN extract(epoch FROM clock_timestamp()) END, expires
        FROM umbel.chord ON CONFLICT DO NOTHING;
        INSERT INTO umbel.counter_member (counter_id, task_id, state, place, result, is_text)
        SELECT group_id, task_id, 'd', place, result, is_text FROM umbel.chord_part JOIN umbel.chord USING (group_id)
        ON CONFLICT DO NOTHING;
        DROP TABLE umbel.chord_part, umbel.chord;
    END IF;
END $$;
CREATE TABLE IF NOT EXISTS umbel.batch_callback (
    batch_id text NOT NULL REFERENCES umbel.counter ON DELETE CASCADE,
    kind text NOT NULL,
    number int NOT NULL,
    message text NOT NULL,
    PRIMARY KEY (batch_id, kind, number)
);

-- Which execution has a job's checkpoints, and these.
CREATE TABLE IF NOT EXISTS umbel.checkpoint_fence (
    task_id text PRIMARY KEY, fence bigint NOT NULL, expires double precision NOT NULL
);
CREATE TABLE IF NOT EXISTS umbel.checkpoint (
    task_id text NOT NULL REFERENCES umbel.checkpoint_fence ON DELETE CASCADE,
    name text NOT NULL,
    cursor text NOT NULL,
    PRIMARY KEY (task_id, name)
);
-- Effects that happen once per key; ends is that of a lease, of a kept result, or since when it is uncertain.
CREATE TABLE IF NOT EXISTS umbel.effect (
    name text PRIMARY KEY, state text NOT NULL, owner text NOT NULL, run text NOT NULL, token text NOT NULL,
    ends double precision NOT NULL, result text
);
CREATE INDEX IF NOT EXISTS effect_ends ON umbel.effect (state, ends);

-- Starts under a limit, those that were and those that are promised; who waits for one; what was changed.
CREATE TABLE IF NOT EXISTS umbel.limit_start (
    number bigserial PRIMARY KEY,
    name text NOT NULL,
    at double precision NOT NULL,
    firm boolean NOT NULL,
    started boolean NOT NULL,
    owner text NOT NULL,
    ends double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS limit_start_at ON umbel.limit_start (name, at);
CREATE INDEX IF NOT EXISTS limit_start_firm ON umbel.limit_start (name, at) WHERE firm;
CREATE INDEX IF NOT EXISTS limit_start_owner ON umbel.limit_start (owner, name);
CREATE INDEX IF NOT EXISTS limit_start_ends ON umbel.limit_start (ends);
CREATE TABLE IF NOT EXISTS umbel.limit_plan (
    name text PRIMARY KEY,
    rule text NOT NULL DEFAULT '',
    "full" double precision NOT NULL DEFAULT 0,
    firm_full double precision NOT NULL DEFAULT 0,
    started double precision NOT NULL DEFAULT 0,
    firm double precision NOT NULL DEFAULT 0,
    planned double precision NOT NULL DEFAULT 0,
    ends double precision NOT NULL DEFAULT extract(epoch FROM clock_timestamp()) + 86400
);
CREATE TABLE IF NOT EXISTS umbel.limit_wait (
    base text NOT NULL, owner text NOT NULL, at double precision NOT NULL, PRIMARY KEY (base, owner)
);
CREATE TABLE IF NOT EXISTS umbel.limit_lag (base text PRIMARY KEY, lag double precision NOT NULL);
CREATE TABLE IF NOT EXISTS umbel.limit_change (
    base text PRIMARY KEY, count bigint NOT NULL, seconds double precision NOT NULL, burst bigint NOT NULL
);

-- The lanes of shared queues: for each the numbers of what was put there last, up to which nothing waits, and of what had
-- been put there at the last look. And who has which: his last message's number.
CREATE TABLE IF NOT EXISTS umbel.lanes (
    queue text PRIMARY KEY,
    tails bigint[] NOT NULL,
    heads bigint[] NOT NULL,
    before bigint[] NOT NULL,
    looked double precision NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS umbel.lane_share (
    queue text NOT NULL, share text NOT NULL, lane int NOT NULL, number bigint NOT NULL, PRIMARY KEY (queue, share)
);

-- Slots that several jobs share.
CREATE TABLE IF NOT EXISTS umbel.slot (
    fence bigint PRIMARY KEY, name text NOT NULL, owner text NOT NULL, ends double precision NOT NULL
);
CREATE INDEX IF NOT EXISTS slot_name ON umbel.slot (name);

-- What jobs' ends publish, until the broker has confirmed it.
CREATE TABLE IF NOT EXISTS umbel.outbox (
    number bigserial PRIMARY KEY,
    token text NOT NULL,
    at double precision NOT NULL,
    queue text NOT NULL,
    payload text NOT NULL,
    task_id text,
    priority int NOT NULL,
    due double precision
);

-- Dead letters as earlier versions wrote them, until they are taken over.
CREATE TABLE IF NOT EXISTS umbel.dead (
    id bigserial PRIMARY KEY,
    task_id text,
    task text,
    queue text NOT NULL,
    reason text NOT NULL,
    deliveries int NOT NULL,
    died double precision NOT NULL,
    payload text NOT NULL
);

-- One dead letter a job. A number (id) is that of a death: a letter that is written again has a new one.
CREATE TABLE IF NOT EXISTS umbel.letter (
    id bigserial PRIMARY KEY,
    task_id text,
    task text,
    queue text NOT NULL,
    reason text NOT NULL,
    deliveries int NOT NULL,
    died double precision NOT NULL,
    payload text NOT NULL,
    key text NOT NULL UNIQUE,
    owner text,
    release text,
    exception text,
    fingerprint text,
    failures text NOT NULL DEFAULT '[]',
    replays int NOT NULL DEFAULT 0,
    replaying boolean NOT NULL DEFAULT false
);

WITH old AS (DELETE FROM umbel.dead RETURNING *)
INSERT INTO umbel.letter (task_id, task, queue, reason, deliveries, died, payload, key)
SELECT task_id, task, queue, reason, deliveries, died, payload,
    CASE WHEN coalesce(task_id, '') <> '' AND id = max(id) OVER (PARTITION BY task_id) THEN task_id
         ELSE 'letter-' || id END
FROM old ORDER BY id
ON CONFLICT (key) DO NOTHING;

CREATE SEQUENCE IF NOT EXISTS umbel.terms;
CREATE TABLE IF NOT EXISTS umbel.leader (
    name text PRIMARY KEY, term bigint NOT NULL, token text NOT NULL, beat bigint NOT NULL
);

CREATE TABLE IF NOT EXISTS umbel.tick (entry text PRIMARY KEY, last_run double precision NOT NULL, runs bigint NOT NULL);

CREATE TABLE IF NOT EXISTS umbel.lease (
    token text PRIMARY KEY,
    number bigserial,
    hostname text NOT NULL,
    pid int NOT NULL,
    queues text[] NOT NULL,
    concurrency int NOT NULL,
    started double precision NOT NULL,
    host text NOT NULL,
    beat double precision NOT NULL
);

-- What happens to jobs, until it has been recorded: a message that was queued, or what one step has settled. Numbers may be committed in another
-- order than they are given; who writes holds a lock, by which it is known when all up to a number are there.
CREATE TABLE IF NOT EXISTS umbel.event (
    number bigserial PRIMARY KEY, at double precision NOT NULL,
    task_id text, queue text, priority integer, due double precision, payload text, ends bytea
);
ALTER TABLE umbel.event DROP COLUMN IF EXISTS xact;
-- One row while a recorder is expected, or has been.
CREATE TABLE IF NOT EXISTS umbel.recorder (
    id integer PRIMARY KEY CHECK (id = 1), until double precision NOT NULL, lost bigint NOT NULL DEFAULT 0,
    identity text NOT NULL DEFAULT gen_random_uuid()::text
);
