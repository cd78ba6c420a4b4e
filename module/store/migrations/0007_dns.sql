-- A key that was brought with a selector of its own: what the domain's keys were named
-- by then. It is a key of the domain as it is set for as long as that is so. Empty: its
-- selector was made.
ALTER TABLE dkim_key ADD COLUMN brought TEXT NOT NULL DEFAULT '';

-- Why a value came no further: the name of a sentence and what fills it, and what the
-- server itself said.
ALTER TABLE record ADD COLUMN detail TEXT NOT NULL DEFAULT '';
ALTER TABLE record ADD COLUMN args TEXT NOT NULL DEFAULT '{}'; -- JSON
UPDATE record SET detail = reason, reason = '' WHERE reason <> '';

-- Who got the records before, and still has some of ours.
CREATE TABLE former_server (
    id        INTEGER PRIMARY KEY,
    mode      TEXT NOT NULL CHECK (mode IN ('core', 'server')),
    server    TEXT NOT NULL,    -- as the setting dns_server; empty for the panel
    key       TEXT NOT NULL,    -- its key when it was left, as the settings
    algorithm TEXT NOT NULL,
    secret    TEXT NOT NULL,
    since     INTEGER NOT NULL, -- when it was left, ms since 1970
    tries     INTEGER NOT NULL, -- in a row that it did not answer
    due       INTEGER NOT NULL, -- when it is asked next
    UNIQUE (mode, server)
) STRICT;

-- Values of ours that stand there.
CREATE TABLE former_record (
    server INTEGER NOT NULL REFERENCES former_server (id),
    domain TEXT NOT NULL,      -- the mail domain; it may be gone
    name   TEXT NOT NULL,
    type   TEXT NOT NULL,
    value  TEXT NOT NULL,
    state  TEXT NOT NULL CHECK (state IN ('pending', 'left', 'refused', 'given_up')), -- to be withdrawn; left standing unless somebody asks; a person has to
    reason TEXT NOT NULL,
    args   TEXT NOT NULL,
    detail TEXT NOT NULL,
    due    INTEGER NOT NULL,   -- of a pending one: not before then
    PRIMARY KEY (server, domain, name, type, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX former_record_domain ON former_record (domain);
