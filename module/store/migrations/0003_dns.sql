-- A second signature beside RSA (RFC 8463).
ALTER TABLE domain ADD COLUMN dkim_ed25519 INTEGER NOT NULL DEFAULT 0 CHECK (dkim_ed25519 IN (0, 1));

-- Keys that letters of a domain are signed with, were, or will be.
CREATE TABLE dkim_key (
    domain   TEXT NOT NULL REFERENCES domain (name),
    selector TEXT NOT NULL,
    private  TEXT NOT NULL,    -- PEM
    record   TEXT NOT NULL,    -- what stands in DNS
    state    TEXT NOT NULL CHECK (state IN ('new', 'signing', 'old')), -- not seen in DNS yet; in use; letters may be under way still
    since    INTEGER NOT NULL, -- of the state, ms since 1970
    due      INTEGER NOT NULL, -- when to look at it next
    tries    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (domain, selector)
) STRICT, WITHOUT ROWID;
CREATE INDEX dkim_key_due ON dkim_key (due);

-- Values that the module put into DNS, or is about to put, or to take away. A row
-- stands before its value does, so that no value is ever without an owner.
CREATE TABLE record (
    domain TEXT NOT NULL,      -- the mail domain; it may be gone
    name   TEXT NOT NULL,
    type   TEXT NOT NULL,
    value  TEXT NOT NULL,
    ttl    INTEGER NOT NULL,   -- seconds
    why    TEXT NOT NULL,
    wanted INTEGER NOT NULL CHECK (wanted IN (0, 1)), -- 0: to be taken away
    state  TEXT NOT NULL CHECK (state IN ('pending', 'published', 'no_zone', 'refused', 'conflict')),
    reason TEXT NOT NULL,
    tries  INTEGER NOT NULL,
    due    INTEGER NOT NULL,   -- of a pending one: when it is tried next
    PRIMARY KEY (domain, name, type, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_due ON record (due) WHERE state = 'pending';

-- What the last check of a domain found.
CREATE TABLE finding (
    domain TEXT NOT NULL REFERENCES domain (name),
    name   TEXT NOT NULL,
    type   TEXT NOT NULL,
    why    TEXT NOT NULL,
    state  TEXT NOT NULL CHECK (state IN ('right', 'wrong', 'unknown')),
    text   TEXT NOT NULL,      -- names the sentence
    args   TEXT NOT NULL,      -- JSON: what fills it
    seen   TEXT NOT NULL,      -- JSON: what was asked of whom
    at     INTEGER NOT NULL,
    PRIMARY KEY (domain, why, name, type)
) STRICT, WITHOUT ROWID;
