-- Version 4: when modules that have ended want to be called again.
CREATE TABLE wake (
	module TEXT PRIMARY KEY,                           -- as its drop-in file names it
	at     INTEGER NOT NULL                            -- ms since 1970
) STRICT, WITHOUT ROWID;
