-- White and black lists of senders, of each mail domain and of the server.
CREATE TABLE listed (
    domain  TEXT NOT NULL,    -- empty: the server's
    sender  TEXT NOT NULL,    -- an address, a domain, an IP address or a network
    list    TEXT NOT NULL CHECK (list IN ('white', 'black')),
    note    TEXT NOT NULL,
    created INTEGER NOT NULL, -- ms since 1970
    PRIMARY KEY (domain, sender)
) STRICT, WITHOUT ROWID;
CREATE INDEX listed_sender ON listed (list, sender, domain);
