-- Effects by key, beside RabbitMQ.

-- name: effect_find
SELECT state, owner, run, token, ends - extract(epoch FROM clock_timestamp()), result
FROM umbel.effect WHERE name = %s FOR UPDATE

-- name: effect_new
INSERT INTO umbel.effect (name, state, owner, run, token, ends)
VALUES (%s, %s, %s, %s, %s, extract(epoch FROM clock_timestamp()) + %s) ON CONFLICT (name) DO NOTHING

-- name: effect_take
UPDATE umbel.effect SET state = %s, owner = %s, run = %s, token = %s,
    ends = extract(epoch FROM clock_timestamp()) + %s, result = NULL
WHERE name = %s

-- name: effect_interrupted
UPDATE umbel.effect SET state = 'uncertain', ends = least(ends, extract(epoch FROM clock_timestamp())) WHERE name = %s

-- name: effect_begin
UPDATE umbel.effect SET state = 'begun' WHERE name = %s AND token = %s
    AND (state IN ('begun', 'asked') OR (state = 'claimed' AND ends > extract(epoch FROM clock_timestamp())))

-- name: effect_renew
UPDATE umbel.effect SET ends = extract(epoch FROM clock_timestamp()) + %s WHERE name = %s AND token = %s
    AND (state IN ('begun', 'asked') OR (state = 'claimed' AND ends > extract(epoch FROM clock_timestamp())))

-- name: effect_complete
UPDATE umbel.effect SET state = 'done', result = %s, ends = extract(epoch FROM clock_timestamp()) + %s
WHERE name = %s AND token = %s
    AND (state NOT IN ('claimed', 'done') OR ends > extract(epoch FROM clock_timestamp()))

-- name: effect_release
DELETE FROM umbel.effect WHERE name = %s AND token = %s AND state <> 'done'
    AND (state <> 'claimed' OR ends > extract(epoch FROM clock_timestamp()))

-- name: effect_doubt
UPDATE umbel.effect SET state = 'uncertain', ends = extract(epoch FROM clock_timestamp())
WHERE name = %s AND token = %s
    AND (state IN ('begun', 'asked') OR (state = 'claimed' AND ends > extract(epoch FROM clock_timestamp())))

-- name: effect_uncertain
SELECT name, owner, ends FROM umbel.effect
WHERE state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= extract(epoch FROM clock_timestamp()))
ORDER BY ends, name LIMIT %s

-- name: effect_resolve_done
UPDATE umbel.effect SET state = 'done', result = %s, ends = extract(epoch FROM clock_timestamp()) + %s
WHERE name = %s AND (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= extract(epoch FROM clock_timestamp())))

-- name: effect_resolve_undone
DELETE FROM umbel.effect
WHERE name = %s AND (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= extract(epoch FROM clock_timestamp())))

-- name: sweep_effects
DELETE FROM umbel.effect WHERE state IN ('claimed', 'done') AND ends <= extract(epoch FROM clock_timestamp())
