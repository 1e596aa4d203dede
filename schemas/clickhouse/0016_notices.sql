-- What early warning says (提示), from the topic notices. A run of the hourly job that broke off says the same again: a
-- notice is known by notice_id, and may be in more than one row. The view notices shows each once.
CREATE TABLE IF NOT EXISTS notice_records
(
    notice_id String CODEC(ZSTD(1)) COMMENT 'made of rule, device, quantity, component and hour',
    rule LowCardinality(String),
    rule_label LowCardinality(String) COMMENT 'what people call the rule',
    device_id String CODEC(ZSTD(1)),
    quantity LowCardinality(String),
    component UInt8 COMMENT 'counts from 0',
    hour_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the beginning of the hour it follows from',
    excess Float64 CODEC(ZSTD(1)) COMMENT 'how far from normal, in mA or K',
    message String CODEC(ZSTD(1)),
    advice String CODEC(ZSTD(1)) COMMENT 'what to do',
    evidence Map(String, Float64) CODEC(ZSTD(1)) COMMENT 'the numbers of the message, by names that end with their unit',
    severity Int8 COMMENT '0 notice',
    severity_label LowCardinality(String),
    device_kind LowCardinality(String) COMMENT 'as registered then, as all that follows',
    unit_id String CODEC(ZSTD(1)),
    unit_name String CODEC(ZSTD(1)),
    place String CODEC(ZSTD(1)),
    area LowCardinality(String) COMMENT 'code of GB/T 2260, 6, 9 or 12 digits',
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when it was published',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION places (SELECT topic, topic_id, `partition`, max(`offset`) GROUP BY topic, topic_id, `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, hour_ts)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what early warning says, one row a record; a notice that was published again is there again. See the view notices';
