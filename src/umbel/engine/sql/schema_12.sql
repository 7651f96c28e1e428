-- Schema 12: batches and uncertain effects move to other stores too.
ALTER TABLE batch ADD COLUMN held TEXT;  -- where to, and how that is called; nothing is queued meanwhile
ALTER TABLE crate ADD COLUMN batches TEXT NOT NULL DEFAULT '[]';
ALTER TABLE crate ADD COLUMN effects TEXT NOT NULL DEFAULT '[]';
