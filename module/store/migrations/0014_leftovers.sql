-- Values that are to go are tried again where the server did not take them away.
CREATE INDEX record_leftover ON record (due) WHERE wanted = 0;
