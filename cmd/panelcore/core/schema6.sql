-- Version 6: what a module hands over can stand at the server already.
ALTER TABLE passed ADD COLUMN theirs INTEGER NOT NULL DEFAULT 0 CHECK (theirs IN (0, 1)); -- it stood there before, and is never changed or removed
