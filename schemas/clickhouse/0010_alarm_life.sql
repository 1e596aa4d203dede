-- The life of an alarm: how bad it is now and was at most, whether its condition holds, and by what it ended.
--
-- Rows of versions before say nothing of this: their severity_highest is 0, their severity is the highest, and what is
-- active follows from the events. Every ALTER here returns at once, however large the table.
ALTER TABLE alarm_events
    ADD COLUMN IF NOT EXISTS severity_highest Int8 CODEC(ZSTD(1))
        COMMENT 'the highest severity that the alarm has reached, 0 of earlier versions' AFTER source_topic_id,
    ADD COLUMN IF NOT EXISTS active Bool DEFAULT event != 'recovered' CODEC(ZSTD(1))
        COMMENT 'whether its condition holds, as far as has been told' AFTER severity_highest,
    ADD COLUMN IF NOT EXISTS repeats_untold UInt32 CODEC(ZSTD(1))
        COMMENT 'recoveries and reactivations of the alarm that were not told, of more than six a day' AFTER active,
    ADD COLUMN IF NOT EXISTS maintenance Bool CODEC(ZSTD(1)) COMMENT 'people were at work at the device'
        AFTER repeats_untold,
    ADD COLUMN IF NOT EXISTS `by` String CODEC(ZSTD(1)) COMMENT 'who did it, where a person did' AFTER maintenance,
    ADD COLUMN IF NOT EXISTS why String CODEC(ZSTD(1)) COMMENT 'and why' AFTER `by`,
    ADD COLUMN IF NOT EXISTS limit_by LowCardinality(String) COMMENT 'who set the limit, empty where it is the release''s'
        AFTER why,
    ADD COLUMN IF NOT EXISTS limit_since_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
        COMMENT 'since when, 1970 where it is the release''s' AFTER limit_by,
    ADD COLUMN IF NOT EXISTS unit_id String CODEC(ZSTD(1)) COMMENT 'the device''s unit as it was registered then'
        AFTER limit_since_ts,
    ADD COLUMN IF NOT EXISTS unit_name String CODEC(ZSTD(1)) AFTER unit_id,
    ADD COLUMN IF NOT EXISTS place String CODEC(ZSTD(1)) COMMENT 'where it was, in words' AFTER unit_name,
    ADD COLUMN IF NOT EXISTS area LowCardinality(String) COMMENT 'code of GB/T 2260, 6, 9 or 12 digits' AFTER place;

ALTER TABLE alarm_events
    COMMENT COLUMN IF EXISTS event 'opened, escalated, worsened, recovered, reactivated, amended (it began earlier than was told); superseded (the same again after a day of normal values, and nobody had reset it), reset, closed',
    COMMENT COLUMN IF EXISTS severity 'how bad that is of which the event tells: 0 notice, 1 warning, 2 alarm; 0 where it is normal again or over; of earlier versions the highest';

ALTER TABLE backfill_alarms
    ADD COLUMN IF NOT EXISTS severity_highest Int8 CODEC(ZSTD(1))
        COMMENT 'the highest severity that the alarm has reached, 0 of earlier versions' AFTER source_topic_id,
    ADD COLUMN IF NOT EXISTS active Bool DEFAULT event != 'recovered' CODEC(ZSTD(1))
        COMMENT 'whether its condition holds, as far as has been told' AFTER severity_highest,
    ADD COLUMN IF NOT EXISTS repeats_untold UInt32 CODEC(ZSTD(1))
        COMMENT 'recoveries and reactivations of the alarm that were not told, of more than six a day' AFTER active,
    ADD COLUMN IF NOT EXISTS maintenance Bool CODEC(ZSTD(1)) COMMENT 'people were at work at the device'
        AFTER repeats_untold,
    ADD COLUMN IF NOT EXISTS `by` String CODEC(ZSTD(1)) COMMENT 'who did it, where a person did' AFTER maintenance,
    ADD COLUMN IF NOT EXISTS why String CODEC(ZSTD(1)) COMMENT 'and why' AFTER `by`,
    ADD COLUMN IF NOT EXISTS limit_by LowCardinality(String) COMMENT 'who set the limit, empty where it is the release''s'
        AFTER why,
    ADD COLUMN IF NOT EXISTS limit_since_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
        COMMENT 'since when, 1970 where it is the release''s' AFTER limit_by,
    ADD COLUMN IF NOT EXISTS unit_id String CODEC(ZSTD(1)) COMMENT 'the device''s unit as it was registered then'
        AFTER limit_since_ts,
    ADD COLUMN IF NOT EXISTS unit_name String CODEC(ZSTD(1)) AFTER unit_id,
    ADD COLUMN IF NOT EXISTS place String CODEC(ZSTD(1)) COMMENT 'where it was, in words' AFTER unit_name,
    ADD COLUMN IF NOT EXISTS area LowCardinality(String) COMMENT 'code of GB/T 2260, 6, 9 or 12 digits' AFTER place;

ALTER TABLE device_status_events
    ADD COLUMN IF NOT EXISTS maintained_until_ts DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))
        COMMENT 'until when people are at work at the device, 1970 where nobody is' AFTER source_topic_id;
