-- Selectors of keys that a domain had, for as long as somebody may remember their
-- records: no other key gets them.
CREATE TABLE past_selector (
    domain   TEXT NOT NULL,    -- it may be gone
    selector TEXT NOT NULL,
    until    INTEGER NOT NULL, -- ms since 1970
    PRIMARY KEY (domain, selector)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_selector_until ON past_selector (until);
