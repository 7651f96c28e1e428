-- Schema 11: messages that wait in lines, one a key, from which is taken in turn.
ALTER TABLE message ADD COLUMN share TEXT NOT NULL DEFAULT '';   -- whose line; '' for none

DROP INDEX message_ready;
CREATE INDEX message_ready ON message (queue, share, rank, seq) WHERE lease IS NULL AND due IS NULL AND suspect = 0;

-- The lines in which something waits, and perhaps some that are empty by now; the lowest turn is next. The line of the
-- messages without one ('') stands here only while others do.
CREATE TABLE lane (
    queue INTEGER NOT NULL,
    rank  INTEGER NOT NULL,
    share TEXT NOT NULL,
    turn  INTEGER NOT NULL,
    PRIMARY KEY (queue, rank, share)
) WITHOUT ROWID;
CREATE INDEX lane_turn ON lane (queue, rank, turn);

-- However a message comes to wait (dispatched, due, given back, recovered), its line has a turn: after the next one's,
-- and before that one's second. A job counts two.
CREATE TRIGGER lane_joined AFTER INSERT ON message
WHEN NEW.share <> '' AND NEW.lease IS NULL AND NEW.due IS NULL AND NEW.suspect = 0
BEGIN
    INSERT OR IGNORE INTO lane (queue, rank, share, turn)
    SELECT NEW.queue, NEW.rank, NEW.share, coalesce(min(turn), 0) + 1 FROM lane WHERE queue = NEW.queue AND rank = NEW.rank;
END;
CREATE TRIGGER lane_joined_again AFTER UPDATE OF lease, due, suspect ON message
WHEN NEW.share <> '' AND NEW.lease IS NULL AND NEW.due IS NULL AND NEW.suspect = 0
BEGIN
    INSERT OR IGNORE INTO lane (queue, rank, share, turn)
    SELECT NEW.queue, NEW.rank, NEW.share, coalesce(min(turn), 0) + 1 FROM lane WHERE queue = NEW.queue AND rank = NEW.rank;
END;
