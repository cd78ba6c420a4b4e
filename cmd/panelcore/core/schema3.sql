-- Version 3: certificates of users, read when they are asked for.
CREATE TABLE certificate (
	owner     TEXT NOT NULL,                           -- a user
	name      TEXT NOT NULL,                           -- as the owner calls it
	chain     TEXT NOT NULL,                           -- PEM: the certificate, then each that issued the one before it
	key       TEXT NOT NULL,                           -- PEM: PKCS #8; for modules only
	not_after INTEGER NOT NULL,                        -- seconds
	PRIMARY KEY (owner, name)
) STRICT, WITHOUT ROWID;
