-- Starts under a limit. PostgreSQL has the same by the same names, in postgres.sql.

-- name: limit_size
SELECT count(*) FROM limit_start WHERE name = ?

-- name: limit_before
SELECT at FROM limit_start WHERE name = ? AND at <= ? ORDER BY at DESC LIMIT ? OFFSET ?

-- name: limit_before_firm
SELECT at FROM limit_start WHERE name = ? AND at <= ? AND firm ORDER BY at DESC LIMIT ? OFFSET ?

-- name: limit_after
SELECT at FROM limit_start WHERE name = ? AND at > ? AND at < ? ORDER BY at LIMIT ?

-- name: limit_after_firm
SELECT at FROM limit_start WHERE name = ? AND at > ? AND at < ? AND firm ORDER BY at LIMIT ?

-- name: limit_put
INSERT INTO limit_start (name, at, firm, started, owner, ends) VALUES (?, ?, ?, ?, ?, ?)

-- name: limit_drop
DELETE FROM limit_start WHERE owner = ? AND name = ?

-- name: limit_forget
DELETE FROM limit_start WHERE name = ? AND at < ? AND started

-- name: limit_plan
SELECT rule, full, firm_full, started, firm, planned FROM limit_plan WHERE name = ?

-- name: limit_plan_put
INSERT INTO limit_plan (name, rule, full, firm_full, started, firm, planned, ends) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET
    rule = excluded.rule, full = excluded.full, firm_full = excluded.firm_full, started = excluded.started,
    firm = excluded.firm, planned = excluded.planned, ends = excluded.ends

-- name: limit_reopen
UPDATE limit_plan SET full = ? WHERE name = ? AND full > ?

-- name: limit_waited
SELECT at FROM limit_wait WHERE base = ? AND owner = ?

-- name: limit_wait_end
DELETE FROM limit_wait WHERE base = ? AND owner = ?

-- name: limit_wait_put
INSERT INTO limit_wait (base, owner, at) VALUES (?, ?, ?) ON CONFLICT (base, owner) DO UPDATE SET at = excluded.at

-- name: limit_changes
SELECT base, count, seconds, burst FROM limit_change

-- name: limit_change
INSERT INTO limit_change (base, count, seconds, burst) VALUES (?, ?, ?, ?)
ON CONFLICT (base) DO UPDATE SET count = excluded.count, seconds = excluded.seconds, burst = excluded.burst

-- name: limit_reset
DELETE FROM limit_change WHERE base = ?

-- name: limit_waiting
SELECT count(*), coalesce(max(at), 0), coalesce((SELECT lag FROM limit_lag WHERE limit_lag.base = ?1), 0)
FROM limit_wait WHERE base = ?1

-- name: limit_lag
INSERT INTO limit_lag (base, lag) VALUES (?, ?) ON CONFLICT (base) DO UPDATE SET lag = excluded.lag

-- name: wake
UPDATE message SET due = ?2
WHERE due > ?2 AND lease IS NULL AND task_id IN (SELECT owner FROM limit_wait WHERE base = ?1)

-- name: sweep_starts
DELETE FROM limit_start WHERE ends < ?

-- name: sweep_plans
DELETE FROM limit_plan WHERE ends < ?

-- name: sweep_waits
DELETE FROM limit_wait WHERE at < ?
