-- Effects by key.

-- name: find
SELECT state, owner, run, token, ends, result FROM effect WHERE name = ?1

-- name: take
INSERT INTO effect (name, state, owner, run, token, ends) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (name) DO UPDATE SET state = excluded.state, owner = excluded.owner, run = excluded.run,
    token = excluded.token, ends = excluded.ends, result = NULL

-- name: interrupted
UPDATE effect SET state = 'uncertain', ends = min(ends, ?2) WHERE name = ?1

-- name: begin
UPDATE effect SET state = 'begun'
WHERE name = ?1 AND token = ?2 AND (state IN ('begun', 'asked') OR (state = 'claimed' AND ends > ?3))

-- name: renew
UPDATE effect SET ends = ?3
WHERE name = ?1 AND token = ?2 AND (state IN ('begun', 'asked') OR (state = 'claimed' AND ends > ?4))

-- name: complete
UPDATE effect SET state = 'done', result = ?3, ends = ?4
WHERE name = ?1 AND token = ?2 AND (state NOT IN ('claimed', 'done') OR ends > ?5)

-- name: release
DELETE FROM effect WHERE name = ?1 AND token = ?2 AND state <> 'done' AND (state <> 'claimed' OR ends > ?3)

-- name: doubt
UPDATE effect SET state = 'uncertain', ends = ?3
WHERE name = ?1 AND token = ?2 AND (state IN ('begun', 'asked') OR (state = 'claimed' AND ends > ?3))

-- name: uncertain
SELECT name, owner, ends FROM effect
WHERE (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= ?1)) ORDER BY ends, name LIMIT ?2

-- name: resolve_done
UPDATE effect SET state = 'done', result = ?2, ends = ?3
WHERE name = ?1 AND (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= ?4))

-- name: resolve_undone
DELETE FROM effect WHERE name = ?1 AND (state = 'uncertain' OR (state IN ('begun', 'asked') AND ends <= ?2))

-- name: sweep
DELETE FROM effect WHERE state IN ('claimed', 'done') AND ends <= ?1
