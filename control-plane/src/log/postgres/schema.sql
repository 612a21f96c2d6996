-- What the log's database looks like, as version 1 made it; `schema_2.sql` makes version 2 of it. Run once, by whichever replica comes first, in one
-- transaction.
--
-- Every table but `meta` has the group in its key, and no statement joins two groups: the tables can be distributed by `group_uid`.
--
-- One line of numbers runs through events, deliveries and changes, as in the embedded log. A row's place on it is its transaction's number
-- times 2^20, plus its place in the transaction: transactions end in another order than they begin, but once none is open below a number, no
-- row below it can appear. A reader of the line stops there (`pg_snapshot_xmin`), and so passes nothing by. A base is added (`line`), so that
-- the line goes on after the rows were moved to another server, whose transactions are numbered from the start.
--
-- Times are milliseconds since 1970 by this server's clock, `received` by the listener's.

--
-- The schema is `hookplane`; whoever runs this has it as the first of its search_path.

-- `version` of these tables; `token_key`, hex; `line_base`.
CREATE TABLE meta (
    name  text PRIMARY KEY,
    value text NOT NULL
);
INSERT INTO meta (name, value) VALUES ('line_base', '0');

-- The line's base, in one row. A crash, and a standby that takes over, leave a table that isn't logged empty: then transactions can be numbered
-- as lost ones were before, which readers have passed, and whoever comes first begins the line anew, well beyond (`line_anew`).
CREATE UNLOGGED TABLE line (base bigint NOT NULL);
INSERT INTO line (base) VALUES (0);

-- Begins the line anew, beyond all that is there and, when it is given, `high`. Nothing is done if that is so already.
CREATE FUNCTION line_anew(high bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    next  bigint := pg_snapshot_xmax(pg_current_snapshot())::text::bigint << 20;
    taken bigint;
    known bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1751805036, 1);  -- `hkpl`; the first one does it for all who wait here
    SELECT base INTO known FROM hookplane.line;
    IF known IS NOT NULL AND high IS NULL THEN
        RETURN known;
    END IF;
    taken := greatest(high, (SELECT max(seq) FROM hookplane.events), (SELECT max(seq) FROM hookplane.deliveries),
                      (SELECT max(seq) FROM hookplane.changes), 0);
    IF next + known > taken THEN
        RETURN known;
    END IF;
    -- 2^20 transactions more than are known of: those of a server's last moments are fewer.
    UPDATE hookplane.meta SET value = greatest(value::bigint, taken - next) + (1::bigint << 40)
    WHERE name = 'line_base' RETURNING value::bigint INTO known;
    DELETE FROM hookplane.line;
    INSERT INTO hookplane.line (base) VALUES (known);
    RETURN known;
END $$;

-- The running transaction's first place on the line. It has 2^20 of them.
CREATE FUNCTION line_place() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    known bigint;
BEGIN
    SELECT base INTO known FROM hookplane.line;
    RETURN (pg_current_xact_id()::text::bigint << 20) + coalesce(known, hookplane.line_anew(NULL));
END $$;

-- A genuine callback, or one item of it. Rows are never updated.
CREATE TABLE events (
    group_uid    text   NOT NULL,
    id           text   NOT NULL,
    seq          bigint NOT NULL,
    org          text   NOT NULL,
    group_name   text   NOT NULL,
    type         text   NOT NULL,
    received     bigint NOT NULL,
    kept         bigint NOT NULL,
    deliveries   int    NOT NULL,  -- how many were made with it, numbered from 1
    flags        bigint NOT NULL,  -- what the append found: bit n is hookplane.v1.EventFlag n
    duplicate_of text,             -- the earlier event, where a flag says so
    record       bytea  NOT NULL,  -- hookplane.v1.Event as it came in
    PRIMARY KEY (id, group_uid)    -- events are asked for by id alone too
);
-- Bodies are JSON for the most part; compressing them costs more than it saves where commits wait.
ALTER TABLE events ALTER COLUMN record SET STORAGE EXTERNAL;
CREATE INDEX events_by_seq   ON events (seq);
CREATE INDEX events_by_org   ON events (org, seq);
CREATE INDEX events_by_group ON events (group_uid, seq);

-- One event for one webhook. Its id is the event's, a dash, and `n`.
CREATE TABLE deliveries (
    group_uid       text     NOT NULL,
    event_id        text     NOT NULL,
    n               int      NOT NULL,
    seq             bigint   NOT NULL,
    org             text     NOT NULL,
    webhook_uid     text     NOT NULL,
    webhook         text     NOT NULL,
    status          smallint NOT NULL,  -- hookplane.v1.DeliveryStatus
    attempts        int      NOT NULL,  -- the running one included
    due             bigint   NOT NULL,  -- not before this; of a leased one, when the lease runs out
    lease           bigint   NOT NULL,  -- which lease holds it; 0 for none
    created         bigint   NOT NULL,
    updated         bigint   NOT NULL,
    reason          text     NOT NULL,
    idempotency_key text     NOT NULL,
    PRIMARY KEY (group_uid, event_id, n)
) WITH (fillfactor = 80);  -- room for each row's next version beside it
CREATE INDEX deliveries_by_seq     ON deliveries (seq);
CREATE INDEX deliveries_by_webhook ON deliveries (webhook_uid, seq);
CREATE INDEX deliveries_pending    ON deliveries (webhook_uid, due, seq) WHERE status = 1;
CREATE INDEX deliveries_leased     ON deliveries (due)                   WHERE status = 2;
-- When those that were tried become due again: the next one wakes subscribers. What is new is due at once and costs nothing here.
CREATE INDEX deliveries_waiting    ON deliveries (due)                   WHERE status = 1 AND attempts > 0;
-- Held, dead and dropped: what an operator looks for among millions that were delivered.
CREATE INDEX deliveries_stuck      ON deliveries (status, seq)           WHERE status >= 4;

-- Each change of a delivery's status after it was made, for readers of the tail.
CREATE TABLE changes (
    group_uid text     NOT NULL,
    seq       bigint   NOT NULL,
    event_id  text     NOT NULL,
    n         int      NOT NULL,
    status    smallint NOT NULL,
    attempts  int      NOT NULL,
    reason    text     NOT NULL,
    at        bigint   NOT NULL,
    PRIMARY KEY (group_uid, seq)
);
CREATE INDEX changes_by_seq ON changes (seq);

-- What tells repeats: who was the first with a key. Its rows are partitioned by group and never by time, and outlive their events.
CREATE TABLE dedup (
    group_uid text   NOT NULL,
    key       bytea  NOT NULL,  -- a byte that says what it tells, and half of the MAC
    event_id  text   NOT NULL,
    body      bytea  NOT NULL,  -- what else must be the same; empty for a key of the signed bytes
    seen      bigint NOT NULL,
    PRIMARY KEY (group_uid, key)
) PARTITION BY HASH (group_uid);
DO $$ BEGIN
    FOR part IN 0..15 LOOP
        EXECUTE format('CREATE TABLE dedup_%s PARTITION OF dedup FOR VALUES WITH (MODULUS 16, REMAINDER %s)', part, part);
    END LOOP;
END $$;

-- Resends that were recognised and not kept.
CREATE TABLE duplicates (
    group_uid text   NOT NULL,
    event_id  text   NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (group_uid, event_id)
);

-- What was turned away (1) or not kept (2) lately, the newest of each group and of all: cut with each write. An empty group is none.
CREATE TABLE notes (
    group_uid text     NOT NULL,
    kind      smallint NOT NULL,
    id        bigint   GENERATED ALWAYS AS IDENTITY,
    org       text     NOT NULL,
    at        bigint   NOT NULL,
    record    bytea    NOT NULL,  -- hookplane.v1.Refusal
    PRIMARY KEY (group_uid, kind, id)
);
CREATE INDEX notes_by_kind ON notes (kind, id);

-- What listeners counted: `refused`, `not-registered`, `not-matched`, `duplicates`, and `secret:NAME` for each secret's uses.
CREATE TABLE counts (
    group_uid text   NOT NULL,
    name      text   NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (group_uid, name)
);
