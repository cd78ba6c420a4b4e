-- What became of letters, for each mail domain and day. The day comes first: a round
-- of counting touches the rows of today, and an old day goes in one piece.
CREATE TABLE counted (
    day        INTEGER NOT NULL, -- since 1970-01-01, where the server is
    domain     TEXT NOT NULL,
    accepted   INTEGER NOT NULL,
    greylisted INTEGER NOT NULL,
    spam       INTEGER NOT NULL,
    virus      INTEGER NOT NULL,
    refused    INTEGER NOT NULL,
    delivered  INTEGER NOT NULL,
    sent       INTEGER NOT NULL,
    PRIMARY KEY (day, domain)
) STRICT, WITHOUT ROWID;

-- Days of which anything was counted: by them the rows of a domain are found.
CREATE TABLE counted_day (day INTEGER PRIMARY KEY) STRICT;

-- Whoever has the name next does not see them.
CREATE TRIGGER domain_counted_deleted AFTER DELETE ON domain BEGIN
    DELETE FROM counted WHERE day IN (SELECT day FROM counted_day) AND domain = old.name;
END;

-- How far Exim's log was counted: one row, or none.
CREATE TABLE exim_log (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    device    INTEGER NOT NULL,
    inode     INTEGER NOT NULL,
    head      TEXT NOT NULL,    -- SHA-256 of the first bytes, in hex
    head_size INTEGER NOT NULL, -- how many these are
    bytes     INTEGER NOT NULL  -- of the file that were counted
) STRICT;
