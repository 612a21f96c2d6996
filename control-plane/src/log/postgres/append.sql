-- Keeps callbacks: all that wait, in one statement and so in one round trip and one commit. What is new of them is put in with its deliveries;
-- what tells repeats is claimed and decided in the same transaction, by the rules of `append.rs`.
--
-- A running replica of another version goes on calling the function it knows: a change is a new function, and the old one stays a release longer.
--
-- Rows that two replicas may want are taken in one order, so that none waits for one that waits for it: keys by group and key, then the keys of
-- other bodies likewise, then events by group and id (as they are given), then counts of duplicates. No transaction takes one of an earlier
-- kind after one of a later.
--
-- A statement that finds all there already writes nonetheless: it locks the rows that it finds, and so its commit waits for the standbys as that of
-- the original may not have.
--
-- Arrays that begin alike belong together: `c` callbacks, `k` keys, each once, sorted; `e` events, sorted by group and id; `d` deliveries.
CREATE FUNCTION append_v2(
    -- Refuses a server that is set to lose what it acknowledged.
    strict        boolean,
    -- Callbacks with two events that share a key.
    alike         int[],
    c_refuse      boolean[],  -- signed bytes that were seen under another delivery id
    c_window      bigint[],   -- milliseconds
    k_group       text[],
    k_key         bytea[],
    k_callback    int[],
    k_id          text[],     -- of the event
    k_body        bytea[],
    e_callback    int[],
    e_order       int[],      -- in its callback
    e_group       text[],
    e_id          text[],
    e_org         text[],
    e_group_name  text[],
    e_type        text[],
    e_received    bigint[],
    e_place       int[],      -- on the line, from the transaction's
    e_deliveries  int[],
    e_record      bytea[],
    e_name        bytea[],    -- keys of the event, null where it has none
    e_body        bytea[],
    e_other       bytea[],
    e_content     bytea[],
    d_event       int[],      -- which of the events
    d_group       text[],
    d_event_id    text[],
    d_n           int[],
    d_place       int[],
    d_org         text[],
    d_webhook_uid text[],
    d_webhook     text[],
    d_status      smallint[],
    d_reason      text[],
    d_idempotency text[],
    d_destination text[],
    d_order_key   text[],
    d_order_hash  bigint[],
    d_mapping     int[]
)
-- Of the events that are not plainly new: 1 a duplicate of another; 2 refused with its callback for being a replay of another; 3 our own resend.
-- Event 0 with verdict 4: the server is weaker than promised, and why.
RETURNS TABLE (event int, verdict int, of text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- Bits of events.flags: hookplane.v1.EventFlag.
    SUSPECTED_REPLAY CONSTANT bigint := 1 << 3;
    ID_REUSED        CONSTANT bigint := 1 << 4;
    REPEAT           CONSTANT bigint := 1 << 5;
    v_now      CONSTANT bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    v_place    CONSTANT bigint := line_place();
    v_weaker   CONSTANT text   := weaker_durability_v1();
    v_rows     bigint;
    v_new      bigint := cardinality(e_id);
    v_looked   int[] := alike;  -- callbacks of which not all is plainly new
    v_resent   int[] := '{}';
    -- Of each event; null as long as all are plainly new.
    v_verdicts int[];
    v_flags    bigint[];
    v_earlier  text[];
    v_callback int;
    v_horizon  bigint;
    v_ids      text[];
    v_met      text;
    v_other    text;
    v_mine     boolean;
    v_event    record;
    v_row      record;
BEGIN
    IF v_weaker <> '' THEN
        IF strict THEN
            RAISE EXCEPTION USING ERRCODE = 'HK001', MESSAGE = v_weaker;
        END IF;
        RETURN QUERY SELECT 0, 4, v_weaker;
    END IF;

    -- Each key is claimed, or its row locked.
    INSERT INTO dedup AS d (group_uid, key, event_id, body, seen)
    SELECT k.group_uid, k.key, k.id, k.body, v_now FROM unnest(k_group, k_key, k_id, k_body) AS k (group_uid, key, id, body)
    ON CONFLICT (group_uid, key) DO UPDATE SET seen = d.seen WHERE false;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows < cardinality(k_key) THEN
        SELECT v_looked || coalesce(array_agg(DISTINCT k.callback), '{}') INTO v_looked
        FROM unnest(k_group, k_key, k_callback, k_id) AS k (group_uid, key, callback, id)
        WHERE k.id <> (SELECT d.event_id FROM dedup d WHERE d.group_uid = k.group_uid AND d.key = k.key);
    END IF;

    IF cardinality(v_looked) > 0 THEN
        v_verdicts := array_fill(0, ARRAY[cardinality(e_id)]);
        v_flags := array_fill(0::bigint, ARRAY[cardinality(e_id)]);
        v_earlier := array_fill(NULL::text, ARRAY[cardinality(e_id)]);

        -- The keys with other bodies that may be wanted next, as yet without a time: what nobody claims goes again.
        INSERT INTO dedup AS d (group_uid, key, event_id, body, seen)
        SELECT DISTINCT ON (e.group_uid, e.other) e.group_uid, e.other, e.id, e.body, -1
        FROM unnest(e_callback, e_group, e_id, e_name, e_body, e_other) AS e (callback, group_uid, id, name, body, other),
             LATERAL (SELECT f.body, f.seen FROM dedup f WHERE f.group_uid = e.group_uid AND f.key = e.name AND f.event_id <> e.id) AS first
        WHERE e.callback = ANY (v_looked)
          AND (first.body <> e.body OR first.seen < v_now - c_window[e.callback] OR e.callback = ANY (alike))
        ORDER BY e.group_uid, e.other
        ON CONFLICT (group_uid, key) DO UPDATE SET seen = d.seen WHERE false;

        FOR v_callback IN SELECT DISTINCT unnest(v_looked) LOOP
            v_horizon := v_now - c_window[v_callback];
            SELECT array_agg(e.id) INTO v_ids FROM unnest(e_callback, e_id) AS e (callback, id) WHERE e.callback = v_callback;
            v_met := NULL;
            -- A block of its own: of a callback that is refused nothing stays, its claims neither.
            BEGIN
                FOR v_event IN
                    SELECT e.* FROM unnest(e_callback, e_order, e_group, e_id, e_name, e_body, e_other, e_content)
                        WITH ORDINALITY AS e (callback, place, group_uid, id, name, body, other, content, number)
                    WHERE e.callback = v_callback ORDER BY e.place
                LOOP
                    v_met := NULL;
                    IF v_event.name IS NOT NULL THEN
                        SELECT d.* INTO v_row FROM dedup d WHERE d.group_uid = v_event.group_uid AND d.key = v_event.name;
                        IF v_row.event_id IS NULL THEN
                            INSERT INTO dedup VALUES (v_event.group_uid, v_event.name, v_event.id, v_event.body, v_now);
                        ELSIF v_row.event_id <> v_event.id THEN
                            IF v_row.seen >= v_horizon AND v_row.body = v_event.body AND v_row.event_id <> ALL (v_ids) THEN
                                v_met := v_row.event_id;
                            ELSE
                                SELECT d.event_id, d.event_id = v_event.id AND d.seen >= 0 INTO v_other, v_mine FROM dedup d
                                WHERE d.group_uid = v_event.group_uid AND d.key = v_event.other
                                  AND (d.seen >= v_horizon OR d.event_id = v_event.id AND d.seen >= 0);
                                IF NOT v_mine AND v_other <> ALL (v_ids) THEN
                                    v_met := v_other;
                                ELSIF v_row.seen < v_horizon THEN
                                    UPDATE dedup SET event_id = v_event.id, body = v_event.body, seen = v_now
                                    WHERE group_uid = v_event.group_uid AND key = v_event.name;
                                ELSE
                                    IF v_other IS NULL THEN
                                        INSERT INTO dedup AS d VALUES (v_event.group_uid, v_event.other, v_event.id, v_event.body, v_now)
                                        ON CONFLICT (group_uid, key) DO UPDATE SET event_id = excluded.event_id, body = excluded.body, seen = excluded.seen;
                                    END IF;
                                    IF v_row.event_id <> ALL (v_ids) THEN
                                        v_flags[v_event.number] := v_flags[v_event.number] | ID_REUSED;
                                        v_earlier[v_event.number] := v_row.event_id;
                                    END IF;
                                END IF;
                            END IF;
                        END IF;
                        IF v_met IS NOT NULL THEN
                            v_verdicts[v_event.number] := 1;
                            v_earlier[v_event.number] := v_met;
                            -- It isn't kept, and claims nothing.
                            DELETE FROM dedup d WHERE d.group_uid = v_event.group_uid AND d.key = v_event.content
                                AND d.event_id = v_event.id AND d.seen = v_now;
                            CONTINUE;
                        END IF;
                    END IF;
                    IF v_event.content IS NOT NULL THEN
                        SELECT d.* INTO v_row FROM dedup d WHERE d.group_uid = v_event.group_uid AND d.key = v_event.content;
                        IF v_row.event_id IS NULL THEN
                            INSERT INTO dedup VALUES (v_event.group_uid, v_event.content, v_event.id, '', v_now);
                        ELSIF v_row.event_id = v_event.id THEN
                            NULL;
                        ELSIF v_row.seen < v_horizon THEN
                            UPDATE dedup SET event_id = v_event.id, seen = v_now WHERE group_uid = v_event.group_uid AND key = v_event.content;
                        ELSIF v_row.event_id <> ALL (v_ids) THEN
                            IF v_event.name IS NOT NULL AND c_refuse[v_callback] THEN
                                v_met := v_row.event_id;
                                RAISE EXCEPTION USING ERRCODE = 'HK002', MESSAGE = 'a replay';
                            END IF;
                            v_flags[v_event.number] := v_flags[v_event.number] | CASE WHEN v_event.name IS NULL THEN REPEAT ELSE SUSPECTED_REPLAY END;
                            v_earlier[v_event.number] := coalesce(v_earlier[v_event.number], v_row.event_id);
                        END IF;
                    END IF;
                END LOOP;
            EXCEPTION WHEN SQLSTATE 'HK002' THEN
                DELETE FROM dedup d USING (
                    SELECT k.group_uid, k.key, k.id FROM unnest(k_group, k_key, k_callback, k_id) AS k (group_uid, key, callback, id)
                    WHERE k.callback = v_callback OFFSET 0
                ) AS k WHERE d.group_uid = k.group_uid AND d.key = k.key AND d.event_id = k.id AND d.seen = v_now;
                FOR v_event IN SELECT e.number FROM unnest(e_callback) WITH ORDINALITY AS e (callback, number) WHERE e.callback = v_callback LOOP
                    v_verdicts[v_event.number] := 2;
                    v_earlier[v_event.number] := v_met;
                END LOOP;
            END;
        END LOOP;
        DELETE FROM dedup d USING unnest(e_group, e_other) AS e (group_uid, other)
        WHERE d.group_uid = e.group_uid AND d.key = e.other AND d.seen = -1;
        SELECT count(*) INTO v_new FROM unnest(v_verdicts) AS v (verdict) WHERE v.verdict = 0;
    END IF;

    INSERT INTO events (group_uid, id, seq, org, group_name, type, received, kept, deliveries, flags, duplicate_of, record)
    SELECT e.group_uid, e.id, v_place + e.place, e.org, e.group_name, e.type, e.received, v_now, e.deliveries, coalesce(e.flags, 0), e.earlier, e.record
    FROM unnest(e_group, e_id, e_place, e_org, e_group_name, e_type, e_received, e_deliveries, e_record, v_flags, v_earlier, v_verdicts)
        AS e (group_uid, id, place, org, group_name, type, received, deliveries, record, flags, earlier, verdict)
    WHERE coalesce(e.verdict, 0) = 0
    ON CONFLICT (group_uid, id) DO NOTHING;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows < v_new THEN
        v_verdicts := coalesce(v_verdicts, array_fill(0, ARRAY[cardinality(e_id)]));
        FOR v_event IN
            SELECT e.* FROM unnest(e_callback, e_group, e_id, e_place, v_verdicts) WITH ORDINALITY AS e (callback, group_uid, id, place, verdict, number)
            WHERE e.verdict = 0 ORDER BY e.number
        LOOP
            -- Locked, so that something is written even where there are no keys.
            SELECT e.seq INTO v_row FROM events e WHERE e.group_uid = v_event.group_uid AND e.id = v_event.id FOR KEY SHARE;
            IF v_row.seq IS NULL THEN
                RAISE EXCEPTION USING ERRCODE = 'serialization_failure', MESSAGE = 'an event went while it was resent';
            ELSIF v_row.seq <> v_place + v_event.place THEN
                v_verdicts[v_event.number] := 3;
                v_resent := v_resent || v_event.callback;
            END IF;
        END LOOP;
    END IF;

    INSERT INTO deliveries (group_uid, event_id, n, seq, org, webhook_uid, webhook, status, attempts, due, lease, created, updated, reason, idempotency_key,
        destination, order_key, order_hash, turn, mapping_version)
    SELECT d.group_uid, d.event_id, d.n, v_place + d.place, d.org, d.webhook_uid, d.webhook, d.status, 0, v_now, 0, v_now, v_now, d.reason, d.idempotency,
        d.destination, d.order_key, d.order_hash, CASE WHEN d.order_hash <> 0 THEN 1 ELSE 0 END, d.mapping
    FROM unnest(d_event, d_group, d_event_id, d_n, d_place, d_org, d_webhook_uid, d_webhook, d_status, d_reason, d_idempotency,
            d_destination, d_order_key, d_order_hash, d_mapping)
        AS d (event, group_uid, event_id, n, place, org, webhook_uid, webhook, status, reason, idempotency, destination, order_key, order_hash, mapping)
    WHERE coalesce(v_verdicts[d.event], 0) = 0;

    IF v_verdicts IS NOT NULL THEN
        -- Of the same group, whatever was claimed under that id: listeners mint ids, and one may have been another group's before.
        INSERT INTO duplicates AS t (group_uid, event_id, count)
        SELECT e.group_uid, e.earlier, count(*)
        FROM unnest(e_callback, e_group, v_verdicts, v_earlier) AS e (callback, group_uid, verdict, earlier)
        WHERE e.verdict = 1 AND e.callback <> ALL (v_resent)
          AND EXISTS (SELECT FROM events o WHERE o.group_uid = e.group_uid AND o.id = e.earlier)
        GROUP BY e.group_uid, e.earlier ORDER BY e.group_uid, e.earlier
        ON CONFLICT (group_uid, event_id) DO UPDATE SET count = t.count + excluded.count;
        RETURN QUERY SELECT e.number::int, e.verdict, e.earlier
            FROM unnest(v_verdicts, v_earlier) WITH ORDINALITY AS e (verdict, earlier, number) WHERE e.verdict <> 0;
    END IF;
END
$$;
