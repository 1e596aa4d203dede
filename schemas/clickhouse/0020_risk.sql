-- The risk index of components, units and areas (requirement C1), as `emberline hourly` rates them (cli/hourly/ratings.py).
--
-- A rating is stored when it differs by a point or in its colour from the one before, and once a day (Asia/Shanghai). One that is
-- made again has the same key. The views risk_components, risk_units and risk_areas have the newest.
CREATE TABLE IF NOT EXISTS risk_component_ratings
(
    rated_ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the end of the hour with which it was rated',
    device_id String CODEC(ZSTD(1)),
    quantity LowCardinality(String),
    component UInt8 COMMENT 'counts from 0',
    unit_id String CODEC(ZSTD(1)) COMMENT 'as registered then, as area',
    area LowCardinality(String),
    `index` Float32 CODEC(ZSTD(1)) COMMENT '0 to 100; 100 is without any risk that shows',
    colour LowCardinality(String) COMMENT 'red, yellow, green',
    exceedance Float32 CODEC(ZSTD(1)) COMMENT 'this part and those that follow: 0 for well to 1 for as bad as it gets',
    trend Float32 CODEC(ZSTD(1)),
    alarms Float32 CODEC(ZSTD(1)),
    rectification Float32 CODEC(ZSTD(1)),
    gaps Float32 CODEC(ZSTD(1)),
    age Float32 CODEC(ZSTD(1)),
    parameters LowCardinality(String) COMMENT 'by which weights, see risk_parameters'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(rated_ts)
ORDER BY (toDate(rated_ts, 'Asia/Shanghai'), device_id, quantity, component, rated_ts)
TTL rated_ts + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'risk ratings of components, see the views risk_components and risk_component_history';

CREATE TABLE IF NOT EXISTS risk_group_ratings
(
    rated_ts DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the end of the hour with which it was rated',
    level LowCardinality(String) COMMENT 'unit, area',
    id String CODEC(ZSTD(1)) COMMENT 'of a unit its id; of an area the first 6, 9 or 12 digits of its code',
    area LowCardinality(String),
    name String CODEC(ZSTD(1)) COMMENT 'of a unit, as registered then',
    `index` Float32 CODEC(ZSTD(1)) COMMENT '0 to 100: the worst of its members blended with their mean',
    colour LowCardinality(String) COMMENT 'red, yellow, green',
    worst Float32 CODEC(ZSTD(1)) COMMENT 'the index of the worst member',
    mean Float32 CODEC(ZSTD(1)),
    members UInt32 CODEC(ZSTD(1)) COMMENT 'components of a unit, units of an area',
    parameters LowCardinality(String) COMMENT 'by which weights, see risk_parameters'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(rated_ts)
ORDER BY (level, toDate(rated_ts, 'Asia/Shanghai'), id, rated_ts)
TTL rated_ts + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'risk ratings of units and areas, see the views risk_units, risk_areas and their histories';

CREATE TABLE IF NOT EXISTS risk_parameters
(
    parameters String COMMENT 'checksum of what they are',
    weights Map(String, Float64) COMMENT 'by part; shares of their sum',
    body String COMMENT 'all of it, JSON; see early_warning/risk.toml',
    since_ts DateTime('UTC') COMMENT 'when they first were in force'
)
ENGINE = MergeTree
ORDER BY parameters
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'by which weights risk was rated';
