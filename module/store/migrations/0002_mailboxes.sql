-- What an administrator changes at run time (mailparam); a name that is not here
-- has its default.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

ALTER TABLE domain ADD COLUMN sendany    INTEGER NOT NULL DEFAULT 0 CHECK (sendany IN (0, 1));
ALTER TABLE domain ADD COLUMN mailrate   INTEGER NOT NULL DEFAULT -1; -- letters an hour a login may send; -1: no limit
ALTER TABLE domain ADD COLUMN mailboxes  INTEGER NOT NULL DEFAULT 0 CHECK (mailboxes >= 0); -- rows of email
ALTER TABLE domain ADD COLUMN quota      INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0);     -- their maxsize together, MB
ALTER TABLE domain ADD COLUMN used       INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0);      -- their used together, bytes
ALTER TABLE domain ADD COLUMN ssl_expire INTEGER NOT NULL DEFAULT 0; -- of the certificate that is served, ms since 1970; 0: none
ALTER TABLE domain ADD COLUMN note       TEXT NOT NULL DEFAULT '';   -- names what needs attention; '': nothing does

CREATE INDEX domain_mailboxes  ON domain (mailboxes);
CREATE INDEX domain_used       ON domain (used);
CREATE INDEX domain_ssl_expire ON domain (ssl_expire);
CREATE INDEX domain_note       ON domain (note);

ALTER TABLE owner ADD COLUMN emails INTEGER NOT NULL DEFAULT 0 CHECK (emails >= 0); -- mailboxes in all domains
ALTER TABLE owner ADD COLUMN quota  INTEGER NOT NULL DEFAULT 0 CHECK (quota >= 0);  -- MB of all mailboxes

-- Mailboxes.
CREATE TABLE email (
    domain       TEXT NOT NULL REFERENCES domain (name),
    name         TEXT NOT NULL,               -- local part
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    password     TEXT NOT NULL,               -- as Dovecot has it, {SCHEME}hash
    passwd_at    INTEGER NOT NULL,            -- when it was set, ms since 1970
    maxsize      INTEGER NOT NULL CHECK (maxsize >= 0), -- MB; 0: unlimited
    aliases      TEXT NOT NULL,               -- local parts, a blank between; table alias has them too
    forward      TEXT NOT NULL,               -- addresses, a blank between
    dontsave     INTEGER NOT NULL CHECK (dontsave IN (0, 1)),
    greylist     INTEGER NOT NULL CHECK (greylist IN (0, 1)),
    spamassassin INTEGER NOT NULL CHECK (spamassassin IN (0, 1)),
    note         TEXT NOT NULL,
    used         INTEGER NOT NULL DEFAULT 0 CHECK (used >= 0), -- bytes, as Dovecot last counted
    created      INTEGER NOT NULL,
    changed      INTEGER NOT NULL,
    PRIMARY KEY (domain, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX email_used ON email (used);

-- Other names of mailboxes. A name is a mailbox or an alias of its domain, once.
CREATE TABLE alias (
    domain TEXT NOT NULL,
    name   TEXT NOT NULL,
    box    TEXT NOT NULL,
    PRIMARY KEY (domain, name),
    FOREIGN KEY (domain, box) REFERENCES email (domain, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_box ON alias (domain, box);

CREATE TRIGGER email_inserted AFTER INSERT ON email BEGIN
    UPDATE domain SET mailboxes = mailboxes + 1, quota = quota + new.maxsize, used = used + new.used WHERE name = new.domain;
    UPDATE owner SET emails = emails + 1, quota = quota + new.maxsize
        WHERE name = (SELECT owner FROM domain WHERE name = new.domain);
END;
CREATE TRIGGER email_deleted AFTER DELETE ON email BEGIN
    UPDATE domain SET mailboxes = mailboxes - 1, quota = quota - old.maxsize, used = used - old.used WHERE name = old.domain;
    UPDATE owner SET emails = emails - 1, quota = quota - old.maxsize
        WHERE name = (SELECT owner FROM domain WHERE name = old.domain);
END;
CREATE TRIGGER email_resized AFTER UPDATE OF maxsize ON email WHEN old.maxsize <> new.maxsize BEGIN
    UPDATE domain SET quota = quota + new.maxsize - old.maxsize WHERE name = new.domain;
    UPDATE owner SET quota = quota + new.maxsize - old.maxsize
        WHERE name = (SELECT owner FROM domain WHERE name = new.domain);
END;
CREATE TRIGGER email_grew AFTER UPDATE OF used ON email WHEN old.used <> new.used BEGIN
    UPDATE domain SET used = used + new.used - old.used WHERE name = new.domain;
END;

DROP TRIGGER domain_moved;
CREATE TRIGGER domain_moved AFTER UPDATE OF owner ON domain WHEN old.owner <> new.owner BEGIN
    UPDATE owner SET emaildomains = emaildomains - 1, emails = emails - old.mailboxes, quota = quota - old.quota
        WHERE name = old.owner;
    INSERT INTO owner (name, emaildomains, emails, quota) VALUES (new.owner, 1, new.mailboxes, new.quota)
        ON CONFLICT (name) DO UPDATE SET emaildomains = emaildomains + 1, emails = emails + new.mailboxes, quota = quota + new.quota;
END;
DROP TRIGGER domain_inserted;
CREATE TRIGGER domain_inserted AFTER INSERT ON domain BEGIN
    INSERT INTO owner (name, emaildomains) VALUES (new.owner, 1)
        ON CONFLICT (name) DO UPDATE SET emaildomains = emaildomains + 1;
    UPDATE meta SET emaildomains = emaildomains + 1;
END;

-- What was deleted and can be brought back.
CREATE TABLE deleted (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- also the name of its mail in the trash: never given twice
    at        INTEGER NOT NULL,                  -- ms since 1970
    until     INTEGER NOT NULL,                  -- removed for good from then on
    user      TEXT NOT NULL,                     -- who deleted it
    kind      TEXT NOT NULL CHECK (kind IN ('domain', 'mailbox')),
    object    TEXT NOT NULL,                     -- the domain, or box@domain
    domain    TEXT NOT NULL,
    owner     TEXT NOT NULL,
    mailboxes INTEGER NOT NULL,
    used      INTEGER NOT NULL,                  -- bytes
    content   TEXT NOT NULL,                     -- JSON: the rows as they were
    state     TEXT NOT NULL CHECK (state IN ('moving', 'kept', 'restoring')) -- of its mail: on its way to the trash, there, on its way back
) STRICT;
CREATE INDEX deleted_domain ON deleted (domain);
CREATE INDEX deleted_owner  ON deleted (owner);
CREATE INDEX deleted_until  ON deleted (until);
CREATE INDEX deleted_state  ON deleted (state) WHERE state <> 'kept';

-- Certificates with their keys.
CREATE TABLE certificate (
    name   TEXT PRIMARY KEY,  -- 'default': the mail server's own
    chain  TEXT NOT NULL,     -- PEM
    key    TEXT NOT NULL,     -- PEM
    expire INTEGER NOT NULL   -- ms since 1970
) STRICT, WITHOUT ROWID;
