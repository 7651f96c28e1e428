-- What has ended because the host was started anew: the processes that had it are gone.

-- name: locks
DELETE FROM lock

-- name: effects_claimed
DELETE FROM effect WHERE state = 'claimed'

-- name: effects_begun
UPDATE effect SET state = 'uncertain' WHERE state IN ('begun', 'asked')

-- name: slots
DELETE FROM slot
