-- From version 2. What was there reads as one delivery for each webhook's subscribers, each for itself.
ALTER TABLE deliveries ADD COLUMN destination     TEXT    NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN order_key       TEXT    NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN mapping_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN waits           INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN further         INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN added           INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN changed         INTEGER NOT NULL DEFAULT 0;
ALTER TABLE changes    ADD COLUMN before          INTEGER NOT NULL DEFAULT 0;
DROP INDEX deliveries_pending;
CREATE INDEX deliveries_pending    ON deliveries (webhook_uid, destination, waits, due, seq) WHERE status = 1;
CREATE INDEX deliveries_ordered    ON deliveries (webhook_uid, destination, order_key, status, waits, seq) WHERE status < 3 AND order_key <> '';
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

INSERT INTO meta (name, value) SELECT 'unlinked_seq', max(seq) FROM changes HAVING max(seq) IS NOT NULL;

-- The webhooks that are there, a step of the index for each.
WITH RECURSIVE of (webhook_uid) AS (
    SELECT min(webhook_uid) FROM deliveries
    UNION ALL
    SELECT (SELECT min(d.webhook_uid) FROM deliveries d WHERE d.webhook_uid > of.webhook_uid) FROM of WHERE of.webhook_uid IS NOT NULL
)
INSERT INTO queues (webhook_uid, destination, org, group_uid)
SELECT of.webhook_uid, '', e.org, e.group_uid
FROM of JOIN events e ON e.seq = (SELECT d.event_seq FROM deliveries d WHERE d.webhook_uid = of.webhook_uid ORDER BY d.seq LIMIT 1)
WHERE of.webhook_uid IS NOT NULL;
