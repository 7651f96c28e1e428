-- Schema 8: the number of the last death, so that none is given twice.
CREATE TABLE letter_number (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    last INTEGER NOT NULL
);
INSERT INTO letter_number (one, last) SELECT 1, coalesce(max(id), 0) FROM dead_letter;
