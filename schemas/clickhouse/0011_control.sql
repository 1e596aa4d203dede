-- What became of control records, from the topic control-outcomes: who ordered what of which device, why, and whether it
-- was applied; and that time has passed, where nothing else said so.
--
-- Without a TTL: who did what is asked after longer than a year, it is little, and to detect again over stored telemetry
-- needs what was ordered meanwhile, and before.
CREATE TABLE IF NOT EXISTS control_records
(
    kind LowCardinality(String) COMMENT 'time, reset, accept_rise, replace, maintenance; what can be read of an order that is none',
    device_id String CODEC(ZSTD(1)) COMMENT 'empty where none is named',
    test Bool,
    outcome LowCardinality(String) COMMENT 'applied, refused, repeated',
    reason String CODEC(ZSTD(1)) COMMENT 'why it was refused',
    `by` String CODEC(ZSTD(1)) COMMENT 'who ordered it',
    why String CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'with epoch and number: which change it is; empty where it does not say',
    epoch Int64 CODEC(ZSTD(1)),
    number Int64 CODEC(ZSTD(1)),
    body String CODEC(ZSTD(1)) COMMENT 'the order as it came',
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when it reached the log',
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)) COMMENT 'its number in the control record',
    generation UInt32 CODEC(ZSTD(1)) COMMENT 'rises where workers begin with other limits or another release',
    source_topic_id LowCardinality(String) COMMENT 'the id of the telemetry topic that source_offset is of',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION positions
    (
        SELECT topic, topic_id, `partition`, max(`offset`)
        GROUP BY topic, topic_id, `partition`
    ),
    PROJECTION places
    (
        SELECT topic, topic_id, `partition`, max((generation, source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    )
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, ingest_ts)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what became of orders and of records of time, one row each';
