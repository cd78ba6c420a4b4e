-- How an authority is to be shown that names are the domain's.
ALTER TABLE domain ADD COLUMN ssl_challenge TEXT NOT NULL DEFAULT 'auto' CHECK (ssl_challenge IN ('auto', 'http-01', 'dns-01'));

-- Certificates of mail domains, under the domain's name. One that is not served any
-- more stays while its domain does, to be used again.
ALTER TABLE certificate ADD COLUMN source TEXT NOT NULL DEFAULT 'selfsigned'; -- selfsigned, letsencrypt, or the name of the owner's certificate in the panel
ALTER TABLE certificate ADD COLUMN fingerprint TEXT NOT NULL DEFAULT '';      -- SHA-256 of the certificate itself, in hex
ALTER TABLE certificate ADD COLUMN renew INTEGER NOT NULL DEFAULT 0;          -- when the next one is due, ms since 1970; 0: never
ALTER TABLE certificate ADD COLUMN ask INTEGER NOT NULL DEFAULT 0;            -- when the authority is asked again about that; 0: never
ALTER TABLE certificate ADD COLUMN before_chain TEXT NOT NULL DEFAULT '';     -- what was served before, until this one was seen served; '': nothing
ALTER TABLE certificate ADD COLUMN before_key TEXT NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN before_source TEXT NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN problem TEXT NOT NULL DEFAULT '';          -- names the sentence why its source gives no other; '': nothing is wrong
CREATE INDEX certificate_fingerprint ON certificate (fingerprint);
-- Who wants to know what is served reads no chain and no key: they are wide.
CREATE INDEX certificate_served ON certificate (name, fingerprint, source, expire);
CREATE INDEX domain_served ON domain (name, secure_alias) WHERE secure = 1;
CREATE INDEX certificate_renew ON certificate (renew) WHERE renew > 0;

-- Who orders, for each authority.
CREATE TABLE acme_account (
    directory TEXT PRIMARY KEY,
    url       TEXT NOT NULL,
    key       TEXT NOT NULL,   -- PEM
    contact   TEXT NOT NULL    -- address; '': none
) STRICT, WITHOUT ROWID;

-- Certificates that are wanted of an authority. What was obtained has no row any more.
CREATE TABLE ssl_order (
    domain    TEXT PRIMARY KEY, -- 'default': the mail server's own
    names     TEXT NOT NULL,    -- sorted, a blank between
    directory TEXT NOT NULL,    -- of the authority that it was begun with; '': not begun
    url       TEXT NOT NULL,    -- of the order there; '': not begun
    key       TEXT NOT NULL,    -- PEM, of the certificate to come; '': not begun
    challenge TEXT NOT NULL CHECK (challenge IN ('', 'http-01', 'dns-01')), -- how it is, or was last, proved
    step      TEXT NOT NULL,    -- how far it is; '': not under way
    failures  INTEGER NOT NULL, -- in a row
    since     INTEGER NOT NULL, -- when it was wanted first, ms since 1970
    due       INTEGER NOT NULL, -- when it is tried next
    kind      TEXT NOT NULL,    -- of the last problem; '': none
    text      TEXT NOT NULL,    -- names its sentence
    args      TEXT NOT NULL,    -- JSON: what fills it
    detail    TEXT NOT NULL     -- what the authority said
) STRICT, WITHOUT ROWID;
CREATE INDEX ssl_order_due ON ssl_order (due);

-- What authorities count.
CREATE TABLE acme_event (
    id        INTEGER PRIMARY KEY,
    directory TEXT NOT NULL,
    at        INTEGER NOT NULL, -- ms since 1970
    what      TEXT NOT NULL CHECK (what IN ('order', 'failure', 'issued')),
    names     TEXT NOT NULL     -- sorted, a blank between
) STRICT;
CREATE INDEX acme_event_at ON acme_event (directory, at);
