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

-- One event for one destination of one webhook.
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
    idempotency_key TEXT    NOT NULL,
    destination     TEXT    NOT NULL DEFAULT '',  -- empty: the webhook's subscribers
    order_key       TEXT    NOT NULL DEFAULT '',  -- empty: it waits for none
    mapping_version INTEGER NOT NULL DEFAULT 0,
    waits           INTEGER NOT NULL DEFAULT 0,   -- 1: for another of its order key, see `order`
    further         INTEGER NOT NULL DEFAULT 0,   -- 1: its event has an earlier one for the same webhook
    added           INTEGER NOT NULL DEFAULT 0,   -- 0: made with its event; else which of the event's it is
    changed         INTEGER NOT NULL DEFAULT 0    -- its last change; 0: none
) STRICT;
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_uid, seq);
CREATE INDEX deliveries_pending    ON deliveries (webhook_uid, destination, waits, due, seq) WHERE status = 1;
CREATE INDEX deliveries_leased     ON deliveries (seq)                                       WHERE status = 2;
CREATE INDEX deliveries_ordered    ON deliveries (webhook_uid, destination, order_key, status, waits, seq) WHERE status < 3 AND order_key <> '';
-- Held, dead and dropped: what an operator looks for among millions that were delivered.
CREATE INDEX deliveries_stuck      ON deliveries (status, seq)              WHERE status >= 4;
CREATE INDEX deliveries_stuck_of   ON deliveries (webhook_uid, status, seq) WHERE status >= 4;

-- Deliveries that were made of an event after it was kept, and so aren't behind it on the line, by where they are looked for.
CREATE TABLE added (
    seq         INTEGER PRIMARY KEY,  -- the delivery's
    event_seq   INTEGER NOT NULL,
    n           INTEGER NOT NULL,     -- which of the event's it is
    org         TEXT    NOT NULL,
    group_uid   TEXT    NOT NULL,
    webhook_uid TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX added_of_event ON added (event_seq, n);
CREATE INDEX added_by_org     ON added (org, seq);
CREATE INDEX added_by_group   ON added (group_uid, seq);
CREATE INDEX added_by_webhook ON added (webhook_uid, seq);
CREATE INDEX added_events     ON added (webhook_uid, event_seq);

-- Which webhooks' destinations ever had deliveries, and whose they are. Known by heart, so that making a delivery costs nothing here.
CREATE TABLE queues (
    webhook_uid TEXT NOT NULL,
    destination TEXT NOT NULL,
    org         TEXT NOT NULL,
    group_uid   TEXT NOT NULL,
    PRIMARY KEY (webhook_uid, destination)
) STRICT, WITHOUT ROWID;
CREATE INDEX queues_by_org   ON queues (org, webhook_uid, group_uid);
CREATE INDEX queues_by_group ON queues (group_uid, webhook_uid);

-- What is remembered of a delivery's attempts, the newest few.
CREATE TABLE attempts (
    delivery_seq INTEGER NOT NULL,
    seq          INTEGER NOT NULL,  -- of the change that ended it
    record       BLOB    NOT NULL,  -- hookplane.v1.Attempt
    PRIMARY KEY (delivery_seq, seq)
) STRICT, WITHOUT ROWID;

-- What was learned of a group's event types, see `drift`.
CREATE TABLE shapes (
    group_uid TEXT NOT NULL,
    type      TEXT NOT NULL,
    record    BLOB NOT NULL,
    PRIMARY KEY (group_uid, type)
) STRICT, WITHOUT ROWID;

-- Each change of a delivery's status after it was made, for readers of the tail.
CREATE TABLE changes (
    seq          INTEGER PRIMARY KEY,
    delivery_seq INTEGER NOT NULL,
    status       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    before       INTEGER NOT NULL DEFAULT 0  -- the delivery's change before, so that they go with it; 0: it was the first
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
-- `dedup_seq`: the claims of events up to this one are in dedup. `unlinked_seq`: changes up to this one don't say which came before.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;
