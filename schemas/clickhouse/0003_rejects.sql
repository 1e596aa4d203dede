-- Records that are not reports: why, whence, and their bytes exactly as they came, so that they can be replayed.
CREATE TABLE IF NOT EXISTS rejects
(
    reason LowCardinality(String) COMMENT 'a stable word to count by',
    detail String CODEC(ZSTD(1)) COMMENT 'what a person can act on',
    source_topic LowCardinality(String),
    source_partition Int32 CODEC(ZSTD(1)),
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_index Int32 CODEC(ZSTD(1)) COMMENT 'the report''s place in its record, -1 if the whole record was rejected',
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the broker received the record',
    key Nullable(String) CODEC(ZSTD(1)) COMMENT 'bytes, not necessarily text',
    value Nullable(String) CODEC(ZSTD(1)) COMMENT 'bytes, not necessarily text',
    headers Array(Tuple(name String, value String)) CODEC(ZSTD(1)) COMMENT 'in order; a name may occur more than once',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION positions
    (
        SELECT topic, topic_id, `partition`, max(`offset`), max((source_offset, source_index))
        GROUP BY topic, topic_id, `partition`
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (reason, ingest_ts)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1, non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'records that are not reports, one row a rejected record or report, with their bytes';
