-- The names that an order is for that was begun for some of its domain's: those that can
-- be proved. Sorted, a blank between; empty: for all.
ALTER TABLE ssl_order ADD COLUMN part TEXT NOT NULL DEFAULT '';
