-- Version 2: zones. The path of a call to a module never comes here either.
CREATE TABLE zone (
	name    TEXT PRIMARY KEY,                          -- A-labels, without the final dot
	serial  INTEGER NOT NULL CHECK (serial BETWEEN 1 AND 4294967295),
	owner   TEXT NOT NULL,                             -- a user; empty: the server's
	server  TEXT NOT NULL,                             -- primary name server; empty: the first of the parameter nameservers
	mailbox TEXT NOT NULL                              -- of who answers for the zone; empty: hostmaster@ the zone
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
	id     INTEGER PRIMARY KEY AUTOINCREMENT,          -- never given again: a page may be old
	zone   TEXT NOT NULL,
	name   TEXT NOT NULL,                              -- whole, without the final dot
	type   TEXT NOT NULL,
	ttl    INTEGER NOT NULL,
	value  TEXT NOT NULL,                              -- as in rpc/wire: TXT joined and unquoted
	module TEXT NOT NULL,                              -- empty: a person's
	UNIQUE (zone, name, type, value, module)
) STRICT;

-- What the authoritative server of that address has of ours.
CREATE TABLE passed (
	server TEXT NOT NULL,
	zone   TEXT NOT NULL,
	name   TEXT NOT NULL,
	type   TEXT NOT NULL,
	ttl    INTEGER NOT NULL,
	value  TEXT NOT NULL,
	PRIMARY KEY (server, zone, name, type, value)
) STRICT, WITHOUT ROWID;

-- Zones of which the server may not have everything; also ones that were deleted.
CREATE TABLE unpassed (
	zone   TEXT PRIMARY KEY,
	tries  INTEGER NOT NULL,
	next   INTEGER NOT NULL,                           -- seconds; not before
	reason TEXT NOT NULL                               -- of the last failure
) STRICT, WITHOUT ROWID;
