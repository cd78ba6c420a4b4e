-- One row for the database as a whole.
CREATE TABLE meta (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    revision     INTEGER NOT NULL,                        -- counts committed batches of changes
    clean        INTEGER NOT NULL CHECK (clean IN (0, 1)), -- 1: stopped in order, every file published
    emaildomains INTEGER NOT NULL                         -- rows of domain
) STRICT;
INSERT INTO meta VALUES (1, 0, 0, 0);

-- Mail domains. WITHOUT ROWID: every index below ends in name, which is the tie
-- breaker of every sort order.
CREATE TABLE domain (
    name          TEXT PRIMARY KEY,               -- A-labels, lower case
    name_idn      TEXT NOT NULL,                  -- U-labels
    reversed      TEXT NOT NULL,                  -- com.example.: parents and children are neighbours
    owner         TEXT NOT NULL,
    active        INTEGER NOT NULL CHECK (active IN (0, 1)),
    ip            TEXT NOT NULL,                  -- '': the server chooses
    defaction     TEXT NOT NULL CHECK (defaction IN ('error', 'ignore', 'redirect', 'redirdomain')),
    redirval      TEXT NOT NULL CHECK ((redirval <> '') = (defaction IN ('redirect', 'redirdomain'))),
    greylist      INTEGER NOT NULL CHECK (greylist IN (0, 1)),
    spamassassin  INTEGER NOT NULL CHECK (spamassassin IN (0, 1)),
    avcheck       INTEGER NOT NULL CHECK (avcheck IN (0, 1)),
    dkim          INTEGER NOT NULL CHECK (dkim IN (0, 1)),
    dkim_selector TEXT NOT NULL,
    dkim_keylen   INTEGER NOT NULL CHECK (dkim_keylen IN (1024, 2048)),
    dmarc         INTEGER NOT NULL CHECK (dmarc IN (0, 1)),
    secure        INTEGER NOT NULL CHECK (secure IN (0, 1)),
    secure_alias  TEXT NOT NULL,
    ssl_name      TEXT NOT NULL,
    email         TEXT NOT NULL,
    created       INTEGER NOT NULL,               -- ms since 1970, UTC
    changed       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX domain_names        ON domain (name, name_idn); -- the table's order without its width
CREATE INDEX domain_name_idn     ON domain (name_idn);
CREATE INDEX domain_reversed     ON domain (reversed);
CREATE INDEX domain_owner        ON domain (owner);
CREATE INDEX domain_active       ON domain (active);
CREATE INDEX domain_ip           ON domain (ip);
CREATE INDEX domain_defaction    ON domain (defaction);
CREATE INDEX domain_redirval     ON domain (redirval);
CREATE INDEX domain_greylist     ON domain (greylist);
CREATE INDEX domain_spamassassin ON domain (spamassassin);
CREATE INDEX domain_avcheck      ON domain (avcheck);
CREATE INDEX domain_dkim         ON domain (dkim);
CREATE INDEX domain_dmarc        ON domain (dmarc);
CREATE INDEX domain_secure       ON domain (secure);

-- How many domains each owner has.
CREATE TABLE owner (
    name         TEXT PRIMARY KEY,
    emaildomains INTEGER NOT NULL CHECK (emaildomains >= 0)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER domain_inserted AFTER INSERT ON domain BEGIN
    INSERT INTO owner VALUES (new.owner, 1)
        ON CONFLICT (name) DO UPDATE SET emaildomains = emaildomains + 1;
    UPDATE meta SET emaildomains = emaildomains + 1;
END;
CREATE TRIGGER domain_deleted AFTER DELETE ON domain BEGIN
    UPDATE owner SET emaildomains = emaildomains - 1 WHERE name = old.owner;
    UPDATE meta SET emaildomains = emaildomains - 1;
END;
CREATE TRIGGER domain_moved AFTER UPDATE OF owner ON domain WHEN old.owner <> new.owner BEGIN
    UPDATE owner SET emaildomains = emaildomains - 1 WHERE name = old.owner;
    INSERT INTO owner VALUES (new.owner, 1)
        ON CONFLICT (name) DO UPDATE SET emaildomains = emaildomains + 1;
END;

-- Who changed what.
CREATE TABLE audit (
    id         INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,      -- ms since 1970, UTC
    request_id TEXT NOT NULL,
    user       TEXT NOT NULL,
    su_by      TEXT NOT NULL,
    remote_ip  TEXT NOT NULL,
    func       TEXT NOT NULL,
    object     TEXT NOT NULL,
    before     TEXT NOT NULL,         -- JSON; '' where there was nothing
    after      TEXT NOT NULL
) STRICT;
CREATE INDEX audit_object ON audit (object);

-- Answers of changes, so that a repeated call gets the first one's.
CREATE TABLE request (
    request_id TEXT NOT NULL,
    object     TEXT NOT NULL,
    user       TEXT NOT NULL,
    func       TEXT NOT NULL,
    answer     TEXT NOT NULL,         -- JSON
    at         INTEGER NOT NULL,
    PRIMARY KEY (request_id, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_at ON request (at);
