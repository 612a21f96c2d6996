-- Version 2: destinations, the versions of mappings, order keys, attempts, search by text, what each group's events take, and shapes.
--
-- Run whole in the transaction that makes version 1's tables; or, on those of an older program, step by step while its replicas go on, which write with the
-- defaults (`upgrade.rs`). A step begins after a line that says so, and is noted once it is done: steps are never put in another order. It is a
-- transaction that is over in moments and so touches no row; or some indices, each by itself and without keeping anybody waiting.

-- STEP
ALTER TABLE deliveries
    ADD COLUMN destination     text     COLLATE "C" NOT NULL DEFAULT '',  -- of its webhook; empty: the subscribers
    ADD COLUMN order_key       text     NOT NULL DEFAULT '',
    ADD COLUMN order_hash      bigint   NOT NULL DEFAULT 0,      -- of the key, which can be long; 0 where there is none
    ADD COLUMN turn            smallint NOT NULL DEFAULT 0,      -- see below
    ADD COLUMN mapping_version int      NOT NULL DEFAULT 0,
    ADD COLUMN recorded        int      NOT NULL DEFAULT 0,      -- rows of `attempts` so far, those that went too
    ADD COLUMN added           boolean  NOT NULL DEFAULT false;  -- made after its event, so elsewhere on the line

-- STEP
-- What can be leased, of subscribers and of other destinations; and what has a key and can't.
CREATE INDEX deliveries_pending_own ON deliveries (webhook_uid, due, seq)              WHERE status = 1 AND turn = 0 AND destination = '';
CREATE INDEX deliveries_pending_to ON deliveries (webhook_uid, destination, due, seq)  WHERE status = 1 AND turn = 0 AND destination <> '';
CREATE INDEX deliveries_behind     ON deliveries (webhook_uid, destination, turn, seq) WHERE status = 1 AND turn > 0;
CREATE INDEX deliveries_by_destination   ON deliveries (destination, seq) WHERE destination <> '';
CREATE INDEX deliveries_added_by_org     ON deliveries (org, seq)         WHERE added;
CREATE INDEX deliveries_added_by_group   ON deliveries (group_uid, seq)   WHERE added;
-- What no webhook matched.
CREATE INDEX events_unmatched_by_seq     ON events (seq)            WHERE deliveries = 0;
CREATE INDEX events_unmatched_by_org     ON events (org, seq)       WHERE deliveries = 0;
CREATE INDEX events_unmatched_by_group   ON events (group_uid, seq) WHERE deliveries = 0;

-- Order keys, see below.
CREATE INDEX deliveries_by_key     ON deliveries (webhook_uid, destination, order_hash, seq)       WHERE status IN (1, 2) AND order_hash <> 0;
CREATE UNIQUE INDEX deliveries_turn ON deliveries (webhook_uid, destination, order_hash, group_uid)
    WHERE status IN (1, 2) AND order_hash <> 0 AND turn = 0;

-- STEP
-- Order keys. Of the pending and leased deliveries of one key one has the turn (0), and it alone can be leased; without a key each has it. What is
-- appended or put back has not been looked at (1): an append takes no lock for it, and whoever leases next looks. It then gets the turn, where it
-- is the oldest and none of its key is leased, or waits (2), however many do. When a lease of the key ends, the oldest that is left has the turn.
--
-- Two at a time: whoever makes one wait holds the row of the one that has the turn, whose lease so can't end before the wait is seen; and of
-- two that give a turn of the same key `deliveries_turn` lets one.

-- Looks at some of a queue that nobody has looked at, oldest first. Waits for no row.
--
-- Both functions ask the indices for the first of a key, whatever the statistics say: of a key with many the planner may think that it has few.
CREATE FUNCTION take_turns(of_webhook text, of_destination text) RETURNS void LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    v_new    record;
    v_holder record;
    v_held   smallint;
BEGIN
    FOR v_new IN
        SELECT group_uid, event_id, n, seq, order_hash FROM hookplane.deliveries
        WHERE webhook_uid = of_webhook AND destination = of_destination AND status = 1 AND turn = 1
        ORDER BY seq LIMIT 512 FOR UPDATE SKIP LOCKED
    LOOP
        SELECT group_uid, event_id, n, seq INTO v_holder FROM hookplane.deliveries
        WHERE webhook_uid = of_webhook AND destination = of_destination AND order_hash = v_new.order_hash
          AND status IN (1, 2) AND order_hash <> 0 AND turn = 0;
        IF FOUND THEN
            SELECT status INTO v_held FROM hookplane.deliveries
            WHERE group_uid = v_holder.group_uid AND event_id = v_holder.event_id AND n = v_holder.n AND status IN (1, 2) AND turn = 0
            FOR UPDATE SKIP LOCKED;
            -- It is being leased or settled: this one is looked at again, or seen by whoever settles it.
            CONTINUE WHEN NOT FOUND;
            IF v_held = 2 OR v_holder.seq < v_new.seq THEN
                UPDATE hookplane.deliveries SET turn = 2 WHERE group_uid = v_new.group_uid AND event_id = v_new.event_id AND n = v_new.n;
                CONTINUE;
            END IF;
            -- It was put back, or its append took longer than that of a later one.
            UPDATE hookplane.deliveries SET turn = 2 WHERE group_uid = v_holder.group_uid AND event_id = v_holder.event_id AND n = v_holder.n;
        ELSIF EXISTS (
            SELECT FROM hookplane.deliveries
            WHERE webhook_uid = of_webhook AND destination = of_destination AND order_hash = v_new.order_hash AND seq < v_new.seq
              AND status IN (1, 2) AND order_hash <> 0
        ) THEN
            -- Another replica is looking at that one.
            CONTINUE;
        END IF;
        UPDATE hookplane.deliveries SET turn = 0 WHERE group_uid = v_new.group_uid AND event_id = v_new.event_id AND n = v_new.n;
    END LOOP;
END $$;

-- Gives the turn on, in the transaction that ends the lease of whoever had it, however that ends. Each look is a new one: what was made to wait by then
-- is seen.
CREATE FUNCTION hand_on() RETURNS trigger LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE
    v_next record;
BEGIN
    LOOP
        SELECT group_uid, event_id, n INTO v_next FROM hookplane.deliveries
        WHERE webhook_uid = OLD.webhook_uid AND destination = OLD.destination AND order_hash = OLD.order_hash
          AND status IN (1, 2) AND order_hash <> 0
        ORDER BY seq LIMIT 1;
        EXIT WHEN NOT FOUND OR (v_next.group_uid = OLD.group_uid AND v_next.event_id = OLD.event_id AND v_next.n = OLD.n);
        UPDATE hookplane.deliveries SET turn = 2
        WHERE group_uid = OLD.group_uid AND event_id = OLD.event_id AND n = OLD.n AND status = 1 AND turn = 0;
        UPDATE hookplane.deliveries SET turn = 0
        WHERE group_uid = v_next.group_uid AND event_id = v_next.event_id AND n = v_next.n AND status IN (1, 2);
        EXIT WHEN FOUND;
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER deliveries_hand_on AFTER UPDATE OF status ON deliveries FOR EACH ROW
    WHEN (OLD.order_hash <> 0 AND OLD.turn = 0 AND OLD.status IN (1, 2) AND NEW.status <> OLD.status AND NEW.status <> 2)
    EXECUTE FUNCTION hand_on();

-- STEP
-- How each attempt at a delivery ended: hookplane.v1.Attempt. The next one takes the place of the one 50 before it.
CREATE TABLE attempts (
    group_uid       text     NOT NULL,
    event_id        text     NOT NULL,
    n               int      NOT NULL,
    place           int      NOT NULL,  -- from 0
    recorded        int      NOT NULL,  -- the how manieth of the delivery
    number          int      NOT NULL,
    outcome         smallint NOT NULL,
    started         bigint   NOT NULL,
    latency         bigint   NOT NULL,
    status          bigint   NOT NULL,
    reason          text     NOT NULL,
    excerpt         text     NOT NULL,
    mapping_version bigint   NOT NULL,
    PRIMARY KEY (group_uid, event_id, n, place)
);

-- What events can be found by: `log/words.rs`. Written behind the appends, in the order of the line, up to `text_mark`.
--
-- Beside its words each has what begins with a slash, so is no word: its org, its group, and the block of its place that it is in, for blocks of
-- four sizes. PostgreSQL's index of words answers in no order: so a page is looked for in the newest blocks first, and in larger ones when
-- that was not enough. See `search.rs`.
CREATE TABLE texts (
    group_uid text     NOT NULL,
    seq       bigint   NOT NULL,  -- the event's
    place     bigint   NOT NULL,  -- counted from 1, without gaps
    words     tsvector NOT NULL,
    PRIMARY KEY (seq, group_uid)
);
-- Words that are new wait in a list, and go into the index many at once: four times as fast as one by one. Each search reads that list whole, so it
-- is short, in kilobytes, and emptied when there is nothing else to do.
CREATE INDEX texts_by_word ON texts USING gin (words) WITH (fastupdate = on, gin_pending_list_limit = 512);

-- When the events of each block of 4,096 places were received, and where they are on the line: what is asked for by time is looked for there.
CREATE TABLE spans (
    block          bigint NOT NULL PRIMARY KEY,  -- the place by 4,096
    first_seq      bigint NOT NULL,
    last_seq       bigint NOT NULL,
    first_received bigint NOT NULL,
    last_received  bigint NOT NULL
);

-- How far `texts`, `spans` and `totals` are.
CREATE TABLE text_mark (seq bigint NOT NULL, place bigint NOT NULL);
INSERT INTO text_mark (seq, place) VALUES (0, 0);

-- What is kept of each group up to the mark. Whoever takes from it or moves the mark holds the lock (1751805036, 3), the former shared.
CREATE TABLE totals (
    group_uid text   NOT NULL PRIMARY KEY,
    org       text   NOT NULL,
    events    bigint NOT NULL,
    bytes     bigint NOT NULL
);

-- What was learned of each event type of a group.
CREATE TABLE shapes (
    group_uid text  NOT NULL,
    type      text  NOT NULL,
    record    bytea NOT NULL,
    PRIMARY KEY (group_uid, type)
);

-- Makes deliveries of an event that is kept, after those that it has and but for those with the same webhook and destination. Says which are new.
CREATE FUNCTION add_deliveries_v1(
    of_event      text,
    d_webhook_uid text[],
    d_webhook     text[],
    d_destination text[],
    d_order_key   text[],
    d_order_hash  bigint[],
    d_mapping     int[],
    d_status      smallint[],
    d_reason      text[],
    d_idempotency text[]
)
RETURNS TABLE (webhook_uid text, status smallint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_event record;
    v_now   bigint;
    v_place bigint;
BEGIN
    -- An id that a listener used again in another group means the first one. It stays as long as this is at it, and nobody else adds to it.
    SELECT e.group_uid, e.id, e.org, e.deliveries INTO v_event FROM events e WHERE e.id = of_event ORDER BY e.seq LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = 'HK003', MESSAGE = 'no such event';
    END IF;
    v_now := floor(extract(epoch FROM clock_timestamp()) * 1000);
    v_place := line_place();
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT DISTINCT ON (w.webhook_uid, w.destination) w.*
        FROM unnest(d_webhook_uid, d_webhook, d_destination, d_order_key, d_order_hash, d_mapping, d_status, d_reason, d_idempotency) WITH ORDINALITY
            AS w (webhook_uid, webhook, destination, order_key, order_hash, mapping, status, reason, idempotency, number)
        WHERE NOT EXISTS (
            SELECT FROM deliveries d WHERE d.group_uid = v_event.group_uid AND d.event_id = v_event.id
              AND d.webhook_uid = w.webhook_uid AND d.destination = w.destination)
        ORDER BY w.webhook_uid, w.destination, w.number
    ), numbered AS MATERIALIZED (
        SELECT w.*, (row_number() OVER (ORDER BY w.number))::int AS at FROM wanted w
    ), made AS (
        INSERT INTO deliveries (group_uid, event_id, n, seq, org, webhook_uid, webhook, status, attempts, due, lease, created, updated, reason,
            idempotency_key, destination, order_key, order_hash, turn, mapping_version, added)
        SELECT v_event.group_uid, v_event.id, v_event.deliveries + w.at, v_place + w.at, v_event.org, w.webhook_uid, w.webhook, w.status, 0, v_now, 0,
            v_now, v_now, w.reason, w.idempotency, w.destination, w.order_key, w.order_hash, CASE WHEN w.order_hash <> 0 THEN 1 ELSE 0 END, w.mapping, true
        FROM numbered w
        RETURNING webhook_uid, status
    ), counted AS (
        UPDATE events e SET deliveries = e.deliveries + (SELECT count(*) FROM numbered)::int
        WHERE e.group_uid = v_event.group_uid AND e.id = v_event.id AND EXISTS (SELECT FROM numbered)
    )
    SELECT made.webhook_uid, made.status FROM made;
END $$;

-- STEP
-- An older program leases by it, and does so until the last moment.
DROP INDEX deliveries_pending;
