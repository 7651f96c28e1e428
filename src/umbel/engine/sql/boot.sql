-- What has ended because the host was started anew: the processes that had it are gone.

-- name: locks
DELETE FROM lock
