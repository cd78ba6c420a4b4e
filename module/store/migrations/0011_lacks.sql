-- Names of its domain that a certificate is not for, while one for all is ordered: it is
-- not shown for them.
ALTER TABLE certificate ADD COLUMN lacks TEXT NOT NULL DEFAULT ''; -- sorted, a blank between
DROP INDEX certificate_served;
CREATE INDEX certificate_served ON certificate (name, fingerprint, source, expire, lacks);
