-- Hours and days of components, made of the stored minutes by `emberline hourly` (cli/hourly/aggregates.py has the argument).
--
-- An hour may be made again, when late minutes have come or a run broke off: of rows with one key the highest `made` counts,
-- and merges keep it alone. The views hours and days show each once.
-- The day is first in the key: a run and statistics ask for all devices of a day, and people for a device over a time.
CREATE TABLE IF NOT EXISTS aggregates_1h
(
    hour_ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the hour''s beginning, by event time',
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    test Bool,
    quantity LowCardinality(String),
    component UInt8 COMMENT 'counts from 0',
    count UInt32 CODEC(ZSTD(1)) COMMENT 'values in the hour, at least one',
    min Float32 CODEC(ZSTD(1)),
    max Float32 CODEC(ZSTD(1)),
    mean Float32 CODEC(ZSTD(1)) COMMENT 'of all values',
    made UInt64 CODEC(ZSTD(1)) COMMENT 'rises from making to making'
)
ENGINE = ReplacingMergeTree(made)
PARTITION BY toYYYYMM(hour_ts)
ORDER BY (toDate(hour_ts, 'Asia/Shanghai'), device_id, quantity, component, hour_ts, test)
TTL hour_ts + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one hour of one component of one device a row, or more where it was made again; see the view hours';

CREATE TABLE IF NOT EXISTS aggregates_1d
(
    day Date CODEC(DoubleDelta, ZSTD(1)) COMMENT 'in Asia/Shanghai, by event time',
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    test Bool,
    quantity LowCardinality(String),
    component UInt8 COMMENT 'counts from 0',
    hours UInt8 COMMENT 'hours that have a value',
    count UInt32 CODEC(ZSTD(1)) COMMENT 'values in the day, at least one',
    min Float32 CODEC(ZSTD(1)),
    max Float32 CODEC(ZSTD(1)),
    mean Float32 CODEC(ZSTD(1)) COMMENT 'of all values',
    made UInt64 CODEC(ZSTD(1)) COMMENT 'rises from making to making'
)
ENGINE = ReplacingMergeTree(made)
PARTITION BY toYYYYMM(day)
ORDER BY (day, device_id, quantity, component, test)
TTL day + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'one day of one component of one device a row, or more where it was made again; see the view days';

CREATE TABLE IF NOT EXISTS aggregates_made
(
    period LowCardinality(String) COMMENT 'hour, day',
    made UInt64 COMMENT 'of the rows that were made',
    first_ts DateTime('UTC') COMMENT 'the oldest that was made',
    until_ts DateTime('UTC') COMMENT 'all that began before it are made',
    `sources.topic_id` Array(UUID) COMMENT 'of hours: of which minutes they are made, by incarnation of the topic',
    `sources.partition` Array(Int32),
    `sources.offset` Array(Int64) COMMENT 'up to which offset',
    `sources.ingest_ts` Array(DateTime64(3, 'UTC')) COMMENT 'when the newest of those was published'
)
ENGINE = MergeTree
ORDER BY (period, made, until_ts)
TTL until_ts + toIntervalDay({retention_days})
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'how far hours and days are made, the newest row of a period';
