-- That a value was sent to who serves the zone, or is about to be: it may stand there
-- because of us. One that stood before us is nobody's of ours, and is left.
ALTER TABLE record ADD COLUMN offered INTEGER NOT NULL DEFAULT 1 CHECK (offered IN (0, 1));
