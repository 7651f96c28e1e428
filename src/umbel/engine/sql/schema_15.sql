-- Schema 15: many messages that are queued in one step tell of themselves together, after the last of them.
ALTER TABLE recorder ADD COLUMN hushed INTEGER NOT NULL DEFAULT 0;  -- while they are queued, inside that step only
DROP TRIGGER message_told;
CREATE TRIGGER message_told AFTER INSERT ON message WHEN NEW.enqueued < (SELECT until FROM recorder WHERE NOT hushed)
BEGIN
    UPDATE recorder SET lost = lost + 1 WHERE (SELECT max(number) FROM event) - (SELECT min(number) FROM event) >= 1000000;
    INSERT INTO event (at, task_id, queue, priority, due, body)
    SELECT NEW.enqueued, NEW.task_id, NEW.queue, 9 - NEW.rank, NEW.due, NEW.payload
    WHERE coalesce((SELECT max(number) FROM event) - (SELECT min(number) FROM event), 0) < 1000000;
END;
