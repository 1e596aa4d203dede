-- What detect workers say, from the topics alarms, aggregates and device-status. A place (source_offset,
-- source_ordinal) is where in telemetry an event follows from; the sink drops an event that was published again.
CREATE TABLE IF NOT EXISTS alarm_events
(
    alarm_id String CODEC(ZSTD(1)),
    event LowCardinality(String) COMMENT 'opened, escalated, recovered, reactivated',
    severity Int8 COMMENT '0 notice, 1 warning, 2 alarm',
    severity_label LowCardinality(String),
    kind LowCardinality(String),
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    quantity LowCardinality(String),
    component UInt8 COMMENT 'counts from 0',
    event_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    onset_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'arrival of the report it follows from',
    detected_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the worker''s clock',
    value Float64 CODEC(ZSTD(1)),
    `limit` Float64 CODEC(ZSTD(1)),
    peak Float64 CODEC(ZSTD(1)) COMMENT 'the worst so far',
    baseline Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the device''s own normal, where one is compared',
    limit_from LowCardinality(String) COMMENT 'standard and edition the limit comes from',
    test Bool,
    message String CODEC(ZSTD(1)),
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)),
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION positions
    (
        SELECT topic, topic_id, `partition`, max(`offset`), max((source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, event_ts)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'events in the life of alarms, one row an event; see the view alarms for one row an alarm';

CREATE TABLE IF NOT EXISTS aggregates_1m
(
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    test Bool,
    quantity LowCardinality(String),
    component UInt8 COMMENT 'counts from 0',
    minute_ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the minute''s beginning, by event time',
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the aggregate was published',
    count UInt32 CODEC(ZSTD(1)) COMMENT 'values in the minute; the others are NULL where it is 0',
    min Nullable(Float32) CODEC(ZSTD(1)),
    max Nullable(Float32) CODEC(ZSTD(1)),
    mean Nullable(Float32) CODEC(ZSTD(1)),
    last Nullable(Float32) CODEC(ZSTD(1)),
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)),
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION positions
    (
        SELECT topic, topic_id, `partition`, max(`offset`), max((source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, quantity, component, minute_ts)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one minute of one component of one device a row; late reports may give a minute more than one row';

CREATE TABLE IF NOT EXISTS device_status_events
(
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    test Bool,
    status LowCardinality(String) COMMENT 'online, offline, overdue_offline',
    faults Array(LowCardinality(String)) COMMENT 'faults the device reports of itself',
    since_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the state began',
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the event was published',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION positions
    (
        SELECT topic, topic_id, `partition`, max(`offset`), max((source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, since_ts)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'changes of devices'' states, one row a change';
