-- Schema 6: one dead letter a job, with its attempts, and what became of its replays.

ALTER TABLE dead_letter ADD COLUMN key TEXT;
ALTER TABLE dead_letter ADD COLUMN owner TEXT;
ALTER TABLE dead_letter ADD COLUMN release TEXT;
ALTER TABLE dead_letter ADD COLUMN exception TEXT;
ALTER TABLE dead_letter ADD COLUMN fingerprint TEXT;
ALTER TABLE dead_letter ADD COLUMN failures TEXT NOT NULL DEFAULT '[]';
ALTER TABLE dead_letter ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dead_letter ADD COLUMN replaying INTEGER NOT NULL DEFAULT 0;

-- A job that has several letters from before keeps them all; its newest one is the one that is known by its id.
UPDATE dead_letter SET key = CASE
    WHEN task_id IS NOT NULL AND task_id <> ''
         AND id = (SELECT max(other.id) FROM dead_letter other WHERE other.task_id = dead_letter.task_id)
    THEN task_id ELSE 'letter-' || id || '-' || lower(hex(randomblob(4))) END;

CREATE UNIQUE INDEX dead_letter_key ON dead_letter (key);
