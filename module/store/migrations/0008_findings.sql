-- What was found of the mail server's own certificate is kept too: by the name "default",
-- as the certificate is.
CREATE TABLE found (
    domain TEXT NOT NULL,
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
INSERT INTO found SELECT domain, name, type, why, state, text, args, seen, at FROM finding;
DROP TABLE finding;
ALTER TABLE found RENAME TO finding;
