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

CREATE OR REPLACE VIEW alarms AS
WITH
    -- Of earlier versions, an earlier onset or late values' severity says nothing of whether it is over the limit now.
    e.severity_highest > 0 OR NOT (e.event = 'amended' OR e.event = 'escalated' AND e.late) AS is_of_now,
    e.event IN ('superseded', 'reset', 'closed') AS is_end,
    (e.ingest_ts, e.`offset`) AS place
SELECT
    alarm_id, device_id, splitByChar('-', device_id)[1] AS area,
    argMax(e.device_kind, place) AS device_kind,
    kind, quantity, component, test, any(e.episode) AS episode,
    argMaxIf(e.active AND e.event != 'recovered' AND NOT is_end, place, is_of_now) AS active,
    if(active, argMaxIf(e.severity, place, is_of_now), 0) AS severity,
    max(greatest(e.severity, e.severity_highest)) AS severity_highest,
    transform(severity_highest, [0, 1, 2], ['提示', '警告', '紧急'], '') AS severity_label,
    min(e.onset_ts) AS onset_ts,
    minOrNullIf(e.event_ts, e.event = 'opened') AS opened_ts,
    minOrNullIf(e.event_ts, e.event = 'escalated') AS escalated_ts,
    if(active, NULL, maxOrNullIf(e.event_ts, e.event = 'recovered')) AS recovered_ts,
    maxOrNullIf(e.ingest_ts, is_end) AS ended_ts,
    argMaxIf(e.event, place, is_end) AS ended_as,
    argMaxIf(e.`by`, place, is_end) AS ended_by,
    argMaxIf(e.why, place, is_end) AS ended_why,
    countIf(e.event = 'worsened') AS worsenings,
    countIf(e.event = 'reactivated') AS reactivations,
    max(e.repeats_untold) AS repeats_untold,
    argMaxIf(e.value, place, is_of_now) AS last_value,
    max(e.peak) AS peak,
    argMax(e.`limit`, place) AS `limit`,
    argMax(e.limit_from, place) AS limit_from,
    argMax(e.message, place) AS message,
    max(e.late) AS late,
    max(e.maintenance) AS maintenance
FROM alarm_events AS e
GROUP BY alarm_id, device_id, kind, quantity, component, test
COMMENT 'one row an alarm, that is one episode, its history folded: how bad it is now (0 where it is normal again) and was at most, when it began as far as is known now, when it was opened, escalated, recovered (NULL while active), by what, whom and why it ended (NULL and empty while it is open), peak, whether late values told of it, whether people were at work';

CREATE OR REPLACE VIEW open_alarms AS
SELECT *
FROM (SELECT * FROM alarms ORDER BY episode DESC LIMIT 1 BY device_id, component, kind, test)
WHERE ended_ts IS NULL
COMMENT 'the open alarm of each device, component and kind: one that nobody has reset; where its value is normal again, active = false';

CREATE OR REPLACE VIEW alarms_daily AS
SELECT
    toDate(onset_ts, 'Asia/Shanghai') AS day, area, device_kind, device_id, kind, severity_highest, severity_label, test,
    count() AS alarms, countIf(NOT active) AS recovered, countIf(escalated_ts IS NOT NULL) AS escalated,
    countIf(ended_as = 'reset') AS reset, countIf(ended_as = 'superseded') AS never_reset
FROM alarms
GROUP BY day, area, device_kind, device_id, kind, severity_highest, severity_label, test
COMMENT 'alarms by day of onset in Asia/Shanghai, area (the device id up to its first -), device, kind and highest severity; and how many of them were reset, and how many never were before the same happened again';

CREATE OR REPLACE VIEW device_status_now AS
SELECT
    device_id,
    argMax(e.device_kind, (e.ingest_ts, e.`offset`)) AS device_kind,
    test,
    argMax(e.status, (e.ingest_ts, e.`offset`)) AS status,
    argMax(e.faults, (e.ingest_ts, e.`offset`)) AS faults,
    argMax(e.since_ts, (e.ingest_ts, e.`offset`)) AS since_ts,
    argMax(e.maintained_until_ts, (e.ingest_ts, e.`offset`)) AS maintained_until_ts
FROM device_status_events AS e
GROUP BY device_id, test
COMMENT 'the latest state of each device: online, offline, overdue_offline, the faults it reports and those found of it, until when people are at work at it';
