-- Version 2, as it was, for the tests of the step from it.
-- A genuine callback, or one item of it. Rows are never updated: a retained row costs one write in its life.
CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL UNIQUE,
    org          TEXT    NOT NULL,
    group_uid    TEXT    NOT NULL,
    group_name   TEXT    NOT NULL,
    type         TEXT    NOT NULL,
    received     INTEGER NOT NULL,
    kept         INTEGER NOT NULL,
    deliveries   INTEGER NOT NULL,  -- how many were made with it, at seq + 1 and on
    flags        INTEGER NOT NULL,  -- what the append found: bit n is hookplane.v1.EventFlag n
    duplicate_of TEXT,              -- the earlier event, where a flag says so
    claims       BLOB    NOT NULL,  -- the keys it was the first with, see `dedup`
    checksum     INTEGER NOT NULL,  -- of record, see `checksum`
    record       BLOB    NOT NULL   -- hookplane.v1.Event as it came in
) STRICT;
CREATE INDEX events_by_org   ON events (org, seq, type, received);
CREATE INDEX events_by_group ON events (group_uid, seq, type, received);

-- One event for one webhook.
CREATE TABLE deliveries (
    seq             INTEGER PRIMARY KEY,
    event_seq       INTEGER NOT NULL,
    webhook_uid     TEXT    NOT NULL,
    webhook         TEXT    NOT NULL,
    status          INTEGER NOT NULL,  -- hookplane.v1.DeliveryStatus
    attempts        INTEGER NOT NULL,  -- the running one included
    due             INTEGER NOT NULL,  -- not before this
    created         INTEGER NOT NULL,
    updated         INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL
) STRICT;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_uid, seq);
CREATE INDEX deliveries_pending    ON deliveries (webhook_uid, due, seq) WHERE status = 1;
CREATE INDEX deliveries_leased     ON deliveries (seq)                   WHERE status = 2;
-- Held, dead and dropped: what an operator looks for among millions that were delivered.
CREATE INDEX deliveries_stuck      ON deliveries (status, seq)           WHERE status >= 4;

-- Each change of a delivery's status after it was made, for readers of the tail.
CREATE TABLE changes (
    seq          INTEGER PRIMARY KEY,
    delivery_seq INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    at           INTEGER NOT NULL
) STRICT;

-- What tells repeats: who was the first with a key. The newest rows are missing, see `dedup`.
CREATE TABLE dedup (
    key      BLOB    PRIMARY KEY,
    event_id TEXT    NOT NULL,
    body     BLOB    NOT NULL,  -- what else must be the same
    seen     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Resends that were recognised and not kept. Apart from events, so that counting doesn't write the event again.
CREATE TABLE duplicates (
    event_id TEXT    PRIMARY KEY,
    count    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `last_seq`: the highest number known to be taken, for when the rows that had it are gone. `token_key`: what lease tokens are signed with.
-- `dedup_seq`: the claims of events up to this one are in dedup.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;
