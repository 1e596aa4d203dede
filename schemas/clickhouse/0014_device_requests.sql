-- What devices were asked for, from the topic device-requests: what, of which device, by whom and why, and until when it was
-- good. What came of it is in what the devices reported then.
CREATE TABLE IF NOT EXISTS device_requests
(
    request_id String CODEC(ZSTD(1)),
    kind LowCardinality(String) COMMENT 'read_back (a value is to be confirmed), cut_off (a person has ordered it)',
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    test Bool,
    quantity LowCardinality(String) COMMENT 'of a read-back what is to be confirmed, empty where it is several',
    component UInt8 COMMENT 'of a read-back from 0, of a cut-off the port from 0; 255 is the device as a whole',
    alarm_id String CODEC(ZSTD(1)) COMMENT 'of a read-back, of the first alarm; else empty',
    `by` String CODEC(ZSTD(1)) COMMENT 'who asks; emberline is detection itself',
    why String CODEC(ZSTD(1)),
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'arrival of what it follows from',
    expires_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'after that it is not to be done any more',
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)) COMMENT 'index of the report in its record, or number of the order in its control record',
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
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what devices were asked for, one row each';

ALTER TABLE control_records
    COMMENT COLUMN IF EXISTS kind 'time, reset, accept_rise, replace, maintenance, cut_off, change, limits; what can be read of an order that is none';
