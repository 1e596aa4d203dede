-- Workers that begin with other rules than those before them begin another generation; its events stand above all others.
--
-- Every ALTER here returns at once: columns are their default in what is stored, and the projections, which say how far
-- the places of a partition go, are made behind.
ALTER TABLE alarm_events
    ADD COLUMN IF NOT EXISTS generation UInt32 CODEC(ZSTD(1))
        COMMENT 'rises where workers begin with other limits or another release' AFTER source_ordinal,
    ADD COLUMN IF NOT EXISTS source_topic_id LowCardinality(String)
        COMMENT 'the id of the telemetry topic that source_offset is of; empty of earlier versions' AFTER generation,
    ADD PROJECTION IF NOT EXISTS places
    (
        SELECT topic, topic_id, `partition`, max((generation, source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    );

ALTER TABLE alarm_events MATERIALIZE PROJECTION places SETTINGS mutations_sync = 0;

ALTER TABLE aggregates_1m
    ADD COLUMN IF NOT EXISTS generation UInt32 CODEC(ZSTD(1))
        COMMENT 'rises where workers begin with other limits or another release' AFTER source_ordinal,
    ADD COLUMN IF NOT EXISTS source_topic_id LowCardinality(String)
        COMMENT 'the id of the telemetry topic that source_offset is of; empty of earlier versions' AFTER generation,
    ADD PROJECTION IF NOT EXISTS places
    (
        SELECT topic, topic_id, `partition`, max((generation, source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    );

ALTER TABLE aggregates_1m MATERIALIZE PROJECTION places SETTINGS mutations_sync = 0;

ALTER TABLE device_status_events
    ADD COLUMN IF NOT EXISTS generation UInt32 CODEC(ZSTD(1))
        COMMENT 'rises where workers begin with other limits or another release' AFTER source_ordinal,
    ADD COLUMN IF NOT EXISTS source_topic_id LowCardinality(String)
        COMMENT 'the id of the telemetry topic that source_offset is of; empty of earlier versions' AFTER generation,
    ADD PROJECTION IF NOT EXISTS places
    (
        SELECT topic, topic_id, `partition`, max((generation, source_offset, source_ordinal))
        GROUP BY topic, topic_id, `partition`
    );

ALTER TABLE device_status_events MATERIALIZE PROJECTION places SETTINGS mutations_sync = 0;

ALTER TABLE rejects
    ADD COLUMN IF NOT EXISTS generation UInt32 CODEC(ZSTD(1))
        COMMENT 'rises where workers begin with other limits or another release' AFTER cut,
    ADD COLUMN IF NOT EXISTS source_topic_id LowCardinality(String)
        COMMENT 'the id of the telemetry topic that source_offset is of; empty of earlier versions' AFTER generation,
    ADD PROJECTION IF NOT EXISTS places
    (
        SELECT topic, topic_id, `partition`, max((generation, source_offset, source_index))
        GROUP BY topic, topic_id, `partition`
    );

ALTER TABLE rejects MATERIALIZE PROJECTION places SETTINGS mutations_sync = 0;
