-- Version 5: an answer of the server can be lost.
ALTER TABLE passed ADD COLUMN perhaps INTEGER NOT NULL DEFAULT 0 CHECK (perhaps IN (0, 1)); -- it was sent to be added or removed, and not answered
