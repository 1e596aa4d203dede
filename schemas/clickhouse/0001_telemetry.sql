-- Reports of devices as they came, one row a report.
--
-- Every table of ours ends with where its row comes from: topic, topic_id (the incarnation of the topic: a topic made
-- anew begins again at offset 0), partition, offset and index (the row's place in its record). Each such place occurs
-- once, without FINAL. The projection `positions` answers how far a partition is stored without reading the table.
--
-- Partitioned by the month of arrival, never of the event: an INSERT is atomic only within one table partition, and
-- arrival hardly ever goes back while event times do. The writer cuts its INSERTs where the month changes.
-- The order is device and time: an analyst asks for a device or a few, over a time. device_id is a plain String:
-- sorted, it compresses to almost nothing, and a dictionary of 130,000 and more devices costs more than it saves.
-- An expired part is dropped as a whole, so a row may stay up to a month longer than the retention, never shorter.
CREATE TABLE IF NOT EXISTS telemetry
(
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    event_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the device measured, by its own clock',
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'when the broker received it',
    seq Nullable(Int32) CODEC(Delta, ZSTD(1)) COMMENT 'the device''s own number of the report, NULL if it gives none',
    test Bool COMMENT 'test or maintenance data: leave it out of every statistic of real data',
    faults Array(LowCardinality(String)) COMMENT 'faults the device reports of itself',
    residual_current_ma Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    temperature_c Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    current_a Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    voltage_v Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    power_w Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    arc_half_cycles Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    smoke Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    insulation_mohm Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    static_v Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    unbalance_pct Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a component, NULL where not fitted',
    topic LowCardinality(String),
    topic_id UUID CODEC(ZSTD(1)),
    `partition` Int32 CODEC(ZSTD(1)),
    `offset` Int64 CODEC(Delta, ZSTD(1)),
    `index` Int32 CODEC(ZSTD(1)),
    PROJECTION positions (SELECT topic, topic_id, `partition`, max(`offset`) GROUP BY topic, topic_id, `partition`)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingest_ts)
ORDER BY (device_id, event_ts)
TTL toDateTime(ingest_ts) + toIntervalDay({retention_days})
SETTINGS
    -- Whole expired parts only: dropping is free, rewriting a month of telemetry is not.
    ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1,
    -- An INSERT retried after a lost answer carries its token and is recognised; 1000 is minutes of INSERTs.
    non_replicated_deduplication_window = 1000,
    -- An acknowledged row survives a power cut, not only a killed server.
    fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'reports of devices, one row a report, one array element a component';
