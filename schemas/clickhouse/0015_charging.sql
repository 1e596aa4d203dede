-- Ports of charging piles: what they say of themselves, in telemetry, and their charges, from the topic charging-sessions.
ALTER TABLE telemetry
    ADD COLUMN IF NOT EXISTS port_state Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one code a port, NULL where none is said' AFTER unbalance_pct,
    ADD COLUMN IF NOT EXISTS stop_reason Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one code a port, of a charge that is settled' AFTER port_state,
    ADD COLUMN IF NOT EXISTS port_voltage_v Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a port, NULL where not fitted' AFTER stop_reason,
    ADD COLUMN IF NOT EXISTS port_temperature_c Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'one value a port, NULL where not fitted' AFTER port_voltage_v,
    ADD COLUMN IF NOT EXISTS charge_s Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'how long the charge of a port has lasted, as its pile counts it' AFTER port_temperature_c,
    ADD COLUMN IF NOT EXISTS charge_wh Array(Nullable(Float32)) CODEC(ZSTD(1)) COMMENT 'what the charge of a port has taken, as its pile counts it' AFTER charge_s;

ALTER TABLE telemetry
    MODIFY COLUMN IF EXISTS `absent.quantity` Array(Enum8('residual_current_ma' = 0, 'temperature_c' = 1, 'current_a' = 2, 'voltage_v' = 3, 'power_w' = 4, 'arc_half_cycles' = 5, 'smoke' = 6, 'insulation_mohm' = 7, 'static_v' = 8, 'unbalance_pct' = 9, 'port_state' = 10, 'stop_reason' = 11, 'port_voltage_v' = 12, 'port_temperature_c' = 13, 'charge_s' = 14, 'charge_wh' = 15));

CREATE TABLE IF NOT EXISTS charging_sessions
(
    session_id String CODEC(ZSTD(1)),
    device_id String CODEC(ZSTD(1)),
    device_kind LowCardinality(String),
    test Bool,
    port UInt8 COMMENT 'from 0',
    began_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    ended_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    energy_wh Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'as the pile counted it, else what its power came to; NULL where neither is known',
    power_w_max Nullable(Float64) CODEC(ZSTD(1)) COMMENT 'NULL where no power was measured',
    stop_reason Int32 CODEC(ZSTD(1)) COMMENT 'the code by which it stopped, 0 where nobody said',
    ended_as LowCardinality(String) COMMENT 'of which sort that is: ordinary, abnormal, safety, unknown',
    settled Bool COMMENT 'its settlement tells of it',
    amended Bool COMMENT 'it was told before as not settled: this is what holds',
    ingest_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)) COMMENT 'arrival of the report by which it is told',
    source_offset Int64 CODEC(Delta, ZSTD(1)),
    source_ordinal Int32 CODEC(ZSTD(1)),
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
COMMENT 'charges at ports of charging piles, one row an event; see the view charges for what holds of each';
