-- Schema 2: a paused queue is fetched from by nobody.
ALTER TABLE queue ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
