-- What `emberline backfill` finds when it detects again over stored telemetry, by run. Never mixed with live alarms.
CREATE TABLE IF NOT EXISTS backfill_marks
(
    run_id UUID,
    mark LowCardinality(String) COMMENT 'started, finished; a run that broke off has no second mark',
    marked_at DateTime64(3, 'UTC'),
    from_ts DateTime64(3, 'UTC') COMMENT 'the period, by arrival; its beginning is in it',
    to_ts DateTime64(3, 'UTC') COMMENT 'its end is not',
    warm_up_ms Int64 COMMENT 'reports before the period that were only shown to the detectors',
    devices String COMMENT 'as asked for, empty for all',
    limits_file String COMMENT 'empty for the shipped limits',
    limits_hash String COMMENT 'SHA-256 of the limits as they were in force',
    reports UInt64 COMMENT 'worked off, those of the warm-up among them',
    alarm_events UInt64 COMMENT 'found, those of the warm-up among them'
)
ENGINE = MergeTree
ORDER BY (run_id, marked_at)
TTL toDateTime(marked_at) + toIntervalDay({retention_days})
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'beginning and end of every backfill; see the view backfill_runs for one row a run';

CREATE TABLE IF NOT EXISTS backfill_alarms
(
    run_id UUID,
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
    detected_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the backfill found it',
    value Float64 CODEC(ZSTD(1)),
    `limit` Float64 CODEC(ZSTD(1)),
    peak Float64 CODEC(ZSTD(1)) COMMENT 'the worst so far',
    baseline Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'the device''s own normal, where one is compared',
    limit_from LowCardinality(String) COMMENT 'standard and edition the limit comes from',
    test Bool,
    message String CODEC(ZSTD(1)),
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)),
    source_topic_id UUID COMMENT 'the incarnation of telemetry it was found in',
    source_partition Int32
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(detected_ts)
ORDER BY (run_id, device_id, event_ts)
TTL toDateTime(detected_ts) + toIntervalDay({retention_days})
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'alarm events found by backfills, one row an event, of the warm-up too (ingest_ts before from_ts of the run)';

CREATE OR REPLACE VIEW backfill_runs AS
SELECT
    run_id, min(m.marked_at) AS started_at, maxOrNullIf(m.marked_at, m.mark = 'finished') AS finished_at,
    any(m.from_ts) AS from_ts, any(m.to_ts) AS to_ts, any(m.warm_up_ms) AS warm_up_ms, any(m.devices) AS devices,
    any(m.limits_file) AS limits_file, any(m.limits_hash) AS limits_hash,
    max(m.reports) AS reports, max(m.alarm_events) AS alarm_events
FROM backfill_marks AS m
GROUP BY run_id
COMMENT 'one row a backfill; finished_at is NULL while it runs and for ever if it broke off';
