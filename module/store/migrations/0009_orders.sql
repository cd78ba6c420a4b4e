-- What an authority counts is of a domain too: its names may change from one order to the
-- next.
ALTER TABLE acme_event ADD COLUMN domain TEXT NOT NULL DEFAULT ''; -- or 'default'; '': not known

-- Until when authorities are not to be asked again, whatever becomes of the order that
-- they said it to.
CREATE TABLE acme_wait (
    directory TEXT NOT NULL,
    domain    TEXT NOT NULL,    -- or 'default'; '': every one
    until     INTEGER NOT NULL, -- ms since 1970
    detail    TEXT NOT NULL,    -- what the authority said
    PRIMARY KEY (directory, domain)
) STRICT, WITHOUT ROWID;
