-- Version 1. The core reads all of it at the start and keeps it in memory; the
-- path of a call never comes here.
CREATE TABLE user (
	name   TEXT PRIMARY KEY,
	level  TEXT NOT NULL CHECK (level IN ('user', 'reseller', 'admin')),
	parent TEXT NOT NULL,
	active INTEGER NOT NULL CHECK (active IN (0, 1)),
	hash   TEXT NOT NULL,                              -- Argon2id, PHC form; empty: no password fits
	uid    INTEGER NOT NULL,
	gid    INTEGER NOT NULL,
	home   TEXT NOT NULL,
	lang   TEXT NOT NULL,
	ips    TEXT NOT NULL CHECK (json_type(ips) = 'array'),
	limits TEXT NOT NULL CHECK (json_type(limits) = 'object'),
	demo   INTEGER NOT NULL CHECK (demo IN (0, 1))     -- made by --demo
) STRICT, WITHOUT ROWID;

CREATE TABLE param (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL CHECK (json_type(value) IN ('text', 'array'))
) STRICT, WITHOUT ROWID;
