-- Schema 13: chords are counted where batches are.
ALTER TABLE batch RENAME TO counter;
ALTER TABLE counter ADD COLUMN kind TEXT NOT NULL DEFAULT 'batch';
-- Members that were announced by their number; total is of those that were added one by one. closed: the size is known.
ALTER TABLE counter ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
DROP INDEX batch_created;
DROP INDEX batch_unfinished;
DROP INDEX batch_expires;
CREATE INDEX counter_created ON counter (created) WHERE kind = 'batch';
CREATE INDEX counter_unfinished ON counter (kind, updated) WHERE finished IS NULL;
CREATE INDEX counter_expires ON counter (expires);

-- What a member brings to the callback, and where among the others it stands: a chord's alone.
ALTER TABLE batch_member RENAME TO counter_member;
ALTER TABLE counter_member RENAME COLUMN batch_id TO counter_id;
ALTER TABLE counter_member ADD COLUMN place INTEGER;
ALTER TABLE counter_member ADD COLUMN result BLOB;

INSERT OR IGNORE INTO counter (id, kind, name, allowed, share, closed, size, total, done, fired, created, updated, finished, expires)
SELECT group_id, 'chord', '', 0, 0, size IS NOT NULL, coalesce(size, 0), extra, parts, CASE fired WHEN 1 THEN 'finally' ELSE '' END,
    strftime('%s', 'now'), strftime('%s', 'now'), CASE fired WHEN 1 THEN strftime('%s', 'now') END,
    coalesce(expires, strftime('%s', 'now') + 604800)
FROM chord;
INSERT OR IGNORE INTO counter_member (counter_id, task_id, state, place, result)
SELECT group_id, task_id, 'd', place, result FROM chord_part;
DROP TABLE chord;
DROP TABLE chord_part;
