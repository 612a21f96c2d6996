-- Version 3: what became of callbacks and deliveries, for charts.
--
-- Step by step, as `schema_2.sql` says.

-- STEP
-- In buckets of five minutes, numbered from 1970, for two days: of a group by its uid (kind 1), and of all groups of an org by its name (2).
CREATE TABLE activity (
    kind       smallint NOT NULL,
    whose      text     COLLATE "C" NOT NULL,
    bucket     bigint   NOT NULL,
    accepted   bigint   NOT NULL,
    refused    bigint   NOT NULL,
    filtered   bigint   NOT NULL,
    duplicates bigint   NOT NULL,
    delivered  bigint   NOT NULL,
    failed     bigint   NOT NULL,
    PRIMARY KEY (kind, whose, bucket)
) WITH (fillfactor = 80);
-- What goes.
CREATE INDEX activity_by_bucket ON activity (bucket);
