-- Circuit breakers by name.

-- name: find
SELECT open, probe, until FROM breaker WHERE name = ?

-- name: probe
UPDATE breaker SET probe = ?2, until = ?3 WHERE name = ?1

-- name: close
DELETE FROM breaker WHERE name = ?1 AND probe = ?2

-- name: open
INSERT INTO breaker (name, open) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET open = excluded.open, probe = NULL, until = NULL

-- name: fail
INSERT INTO breaker_failure (name, at) VALUES (?1, ?2)

-- name: failures
SELECT count(*) FROM breaker_failure WHERE name = ?1 AND at >= ?2

-- name: forget
DELETE FROM breaker_failure WHERE name = ?1

-- name: forget_old
DELETE FROM breaker_failure WHERE name = ?1 AND at < ?2

-- name: sweep
DELETE FROM breaker_failure WHERE at < ?1
