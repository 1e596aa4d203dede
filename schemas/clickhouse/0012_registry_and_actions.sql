-- What is registered of devices, and what people do about alarms, as their topics tell it: one row a record.
--
-- Both are published at least once: a change that comes again has the same source, epoch and number, and is a row of its
-- own, for a row is known by its offset. Views count a change once, and go by epoch and number, not by arrival.
-- Granules are small, for both tables are asked for some devices or alarms among very many.
CREATE TABLE IF NOT EXISTS registry_history
(
    device_id String CODEC(ZSTD(1)) COMMENT 'empty where it is the limits of many devices, which are in body',
    kind LowCardinality(String) COMMENT 'kind of device, empty where it is not known, as all that follows',
    removed Bool COMMENT 'whether the device is no more',
    state LowCardinality(String) COMMENT 'in_use, stopped, removed',
    name String CODEC(ZSTD(1)),
    model String CODEC(ZSTD(1)),
    unit_id String CODEC(ZSTD(1)) COMMENT 'the unit whose device it is',
    unit_name String CODEC(ZSTD(1)),
    organisation_id LowCardinality(String) COMMENT 'the organisation that maintains it',
    organisation_name LowCardinality(String),
    area LowCardinality(String) COMMENT 'code of GB/T 2260, of 6, 9 or 12 digits: county, street, community',
    place_kind LowCardinality(String) COMMENT 'kind of place, a code of the registry',
    address String CODEC(ZSTD(1)),
    nominal_voltage_v Float64 CODEC(ZSTD(1)) COMMENT '0 where it is not known',
    rated_current_a Float64 CODEC(ZSTD(1)) COMMENT '0 where it is not known',
    phases UInt8 CODEC(ZSTD(1)) COMMENT '0 where it is not known',
    interval_s UInt32 CODEC(ZSTD(1)) COMMENT 'how often it reports, 0 where it is not known',
    `components.quantity` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    `components.number` Array(UInt8) CODEC(ZSTD(1)) COMMENT 'counts from 0, as in reports',
    `components.id` Array(String) CODEC(ZSTD(1)),
    `components.name` Array(String) CODEC(ZSTD(1)),
    `components.role` Array(LowCardinality(String)) CODEC(ZSTD(1)) COMMENT 'what it measures: circuit, cable, ambient',
    `components.circuit` Array(UInt16) CODEC(ZSTD(1)),
    `components.phase` Array(LowCardinality(String)) CODEC(ZSTD(1)),
    body String CODEC(ZSTD(1)) COMMENT 'the entry as it came',
    source LowCardinality(String) COMMENT 'with epoch and number: which change it is',
    epoch Int64 CODEC(ZSTD(1)),
    number Int64 CODEC(ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when it was published',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION places (SELECT topic, topic_id, `partition`, max(`offset`) GROUP BY topic, topic_id, `partition`)
)
ENGINE = MergeTree
-- In one table partition: publishers' clocks, which date this topic, could make any number of them. Without a TTL: what
-- is registered holds until it is changed.
ORDER BY (device_id, epoch, number)
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what was registered of each device, one row a record; a change that was published again is there again. See the view devices for what is registered now';

CREATE TABLE IF NOT EXISTS alarm_actions
(
    device_id String CODEC(ZSTD(1)),
    alarm_id String CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'acknowledge, mute, unmute, assign, comment, verdict',
    `by` String CODEC(ZSTD(1)) COMMENT 'who did it',
    ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when, by the clock of the registry''s database',
    version UInt32 CODEC(ZSTD(1)) COMMENT 'counts the actions of an alarm from 1',
    test Bool,
    why String CODEC(ZSTD(1)) COMMENT 'why, or what is said of it',
    until_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'of a mute its end, else 1970',
    `to` String CODEC(ZSTD(1)) COMMENT 'of an assignment whose task it is',
    verdict LowCardinality(String) COMMENT 'true, false, test, unknown; empty of all that is no verdict',
    seen_topic_id LowCardinality(String) COMMENT 'of an acknowledgement the last event that was seen, by its position',
    seen_partition Int32 CODEC(ZSTD(1)),
    seen_generation UInt32 CODEC(ZSTD(1)),
    seen_offset Int64 CODEC(ZSTD(1)),
    seen_ordinal Int32 CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'with epoch and number: which action it is',
    epoch Int64 CODEC(ZSTD(1)),
    number Int64 CODEC(ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the broker received it',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    INDEX alarm_ids alarm_id TYPE bloom_filter(0.0001) GRANULARITY 1,
    PROJECTION places (SELECT topic, topic_id, `partition`, max(`offset`) GROUP BY topic, topic_id, `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, alarm_id, epoch, number)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS index_granularity = 256, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what people do about alarms, one row a record; an action that was published again is there again. See the view alarms for what it comes to';

-- Which alarms may be open: all that are, and few others. Their events say whether they are. A sink marks an alarm before
-- it stores its opening (sign 1), and once more after it has stored its end (-1); merges let go of both. So a row may be
-- there twice or without its other; none that is open is missing. See `sinks.clickhouse.marks`.
CREATE TABLE IF NOT EXISTS alarm_marks
(
    device_id String CODEC(ZSTD(1)),
    alarm_id String CODEC(ZSTD(1)),
    sign Int8 COMMENT '1: it may be open; -1: it has ended'
)
ENGINE = CollapsingMergeTree(sign)
ORDER BY (device_id, alarm_id)
SETTINGS index_granularity = 256, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'alarms that may be open, see the view open_alarms for those that are';

-- An alarm is found by its id without reading all ids: among hundreds that are asked for, few granules are read in vain.
ALTER TABLE alarm_events ADD INDEX IF NOT EXISTS alarm_ids alarm_id TYPE bloom_filter(0.0001) GRANULARITY 1;

ALTER TABLE alarm_events MATERIALIZE INDEX IF EXISTS alarm_ids SETTINGS mutations_sync = 0;
