-- Reports are kept whole: what of one cannot be used is absent with its reason, and by which clock it is judged is told.
-- Alarms have an episode and may be told of by late values; rejects have their gateway, and may stand for many.
--
-- Every ALTER here returns at once, however large the table: a new column is its default until a merge writes it down.
-- The two that change a type (alter_sync = 0) have the server rewrite that one column behind; until then it converts
-- what it reads. The defaults are what a report that came before would have been judged by.
ALTER TABLE telemetry
    MODIFY COLUMN IF EXISTS seq Nullable(UInt64) CODEC(Delta, ZSTD(1))
        COMMENT 'the device''s own number of the report, NULL if it gives none'
    SETTINGS alter_sync = 0;

ALTER TABLE telemetry
    ADD COLUMN IF NOT EXISTS by_arrival Bool
        DEFAULT event_ts > ingest_ts + toIntervalMinute(5) OR event_ts < ingest_ts - toIntervalDay(180)
        COMMENT 'whether its device''s clock is not credible, so that it is judged by its arrival' AFTER ingest_ts,
    ADD COLUMN IF NOT EXISTS ts DateTime64(3, 'UTC') DEFAULT if(by_arrival, ingest_ts, least(event_ts, ingest_ts))
        CODEC(DoubleDelta, ZSTD(1)) COMMENT 'the moment it is judged by: event_ts, or ingest_ts if by_arrival'
        AFTER ingest_ts,
    ADD COLUMN IF NOT EXISTS notes Array(LowCardinality(String))
        COMMENT 'what of the report could not be used, such as clock_behind, bad_seq, unknown_quantity:NAME' AFTER faults,
    ADD COLUMN IF NOT EXISTS `absent.quantity` Array(Enum8('residual_current_ma' = 0, 'temperature_c' = 1, 'current_a' = 2, 'voltage_v' = 3, 'power_w' = 4, 'arc_half_cycles' = 5, 'smoke' = 6, 'insulation_mohm' = 7, 'static_v' = 8, 'unbalance_pct' = 9))
        CODEC(ZSTD(1)) COMMENT 'components without a value and why, see the view absent_values' AFTER unbalance_pct,
    ADD COLUMN IF NOT EXISTS `absent.component` Array(UInt8) CODEC(ZSTD(1)) COMMENT 'counts from 0'
        AFTER `absent.quantity`,
    ADD COLUMN IF NOT EXISTS `absent.reason` Array(Enum8('not_fitted' = 1, 'sentinel' = 2, 'impossible' = 3, 'not_a_number' = 4, 'not_finite' = 5, 'power_on' = 6))
        CODEC(ZSTD(1)) COMMENT 'those not fitted are not told, they have no value and no reason'
        AFTER `absent.component`,
    ADD COLUMN IF NOT EXISTS `absent.value` Array(Nullable(Float64)) CODEC(ZSTD(1))
        COMMENT 'the number in the value''s place, NULL where there was none' AFTER `absent.reason`;

ALTER TABLE telemetry
    COMMENT COLUMN IF EXISTS event_ts 'when the device measured, by its own clock, right or wrong: go by ts';

ALTER TABLE alarm_events
    ADD COLUMN IF NOT EXISTS episode DateTime64(3, 'UTC') DEFAULT onset_ts CODEC(DoubleDelta, ZSTD(1))
        COMMENT 'arrival of the report that opened the alarm, by which it is known; the onset of earlier versions'' alarms'
        AFTER component,
    ADD COLUMN IF NOT EXISTS by_arrival Bool COMMENT 'whether event_ts is of arrival, for the device''s clock is wrong'
        AFTER detected_ts,
    ADD COLUMN IF NOT EXISTS late Bool COMMENT 'told by values that came in after newer ones (补报)' AFTER by_arrival;

ALTER TABLE alarm_events
    COMMENT COLUMN IF EXISTS event 'opened, escalated, recovered, reactivated, amended (it began earlier than was told)';

ALTER TABLE backfill_alarms
    ADD COLUMN IF NOT EXISTS episode DateTime64(3, 'UTC') DEFAULT onset_ts CODEC(DoubleDelta, ZSTD(1))
        COMMENT 'arrival of the report that opened the alarm, by which it is known' AFTER component,
    ADD COLUMN IF NOT EXISTS by_arrival Bool COMMENT 'whether event_ts is of arrival, for the device''s clock is wrong'
        AFTER detected_ts,
    ADD COLUMN IF NOT EXISTS late Bool COMMENT 'told by values that came in after newer ones (补报)' AFTER by_arrival;

ALTER TABLE device_status_events
    COMMENT COLUMN IF EXISTS faults 'the device''s own words, then what is found about it, such as not_judged:temperature_c';

ALTER TABLE rejects
    MODIFY COLUMN IF EXISTS headers Array(Tuple(name String, value Nullable(String))) CODEC(ZSTD(1))
        COMMENT 'in order; a name may occur more than once'
    SETTINGS alter_sync = 0;

ALTER TABLE rejects
    ADD COLUMN IF NOT EXISTS reports UInt32 DEFAULT 1 CODEC(ZSTD(1))
        COMMENT 'how many rejected reports the row stands for, from source_index on' AFTER ingest_ts,
    ADD COLUMN IF NOT EXISTS cut Int64 DEFAULT -1 CODEC(ZSTD(1))
        COMMENT 'bytes the value had where not all are here, else -1; telemetry has the record' AFTER reports,
    ADD COLUMN IF NOT EXISTS gateway LowCardinality(String) DEFAULT 'unknown'
        COMMENT 'the record''s own header gateway' AFTER cut;

CREATE OR REPLACE VIEW absent_values AS
SELECT
    device_id, device_kind, test, ts, event_ts, ingest_ts,
    toString(absent.quantity) AS quantity, absent.component AS component,
    toString(absent.reason) AS reason, absent.value AS value,
    topic, topic_id, `partition`, `offset`, `index`
FROM telemetry
ARRAY JOIN absent
COMMENT 'one row a component that was sent without a usable value: sentinel, impossible, not_a_number, not_finite, power_on (a sensor''s first value; it counts once it is repeated)';

CREATE OR REPLACE VIEW telemetry_values AS
SELECT
    device_id, device_kind, test, ts, by_arrival, event_ts, ingest_ts,
    one.1 AS quantity, one.2 AS component, assumeNotNull(one.3) AS value,
    topic, topic_id, `partition`, `offset`, `index`
FROM telemetry
ARRAY JOIN arrayConcat(
    arrayMap((value, n) -> ('residual_current_ma', toUInt8(n - 1), value), residual_current_ma, arrayEnumerate(residual_current_ma)),
    arrayMap((value, n) -> ('temperature_c', toUInt8(n - 1), value), temperature_c, arrayEnumerate(temperature_c)),
    arrayMap((value, n) -> ('current_a', toUInt8(n - 1), value), current_a, arrayEnumerate(current_a)),
    arrayMap((value, n) -> ('voltage_v', toUInt8(n - 1), value), voltage_v, arrayEnumerate(voltage_v)),
    arrayMap((value, n) -> ('power_w', toUInt8(n - 1), value), power_w, arrayEnumerate(power_w)),
    arrayMap((value, n) -> ('arc_half_cycles', toUInt8(n - 1), value), arc_half_cycles, arrayEnumerate(arc_half_cycles)),
    arrayMap((value, n) -> ('smoke', toUInt8(n - 1), value), smoke, arrayEnumerate(smoke)),
    arrayMap((value, n) -> ('insulation_mohm', toUInt8(n - 1), value), insulation_mohm, arrayEnumerate(insulation_mohm)),
    arrayMap((value, n) -> ('static_v', toUInt8(n - 1), value), static_v, arrayEnumerate(static_v)),
    arrayMap((value, n) -> ('unbalance_pct', toUInt8(n - 1), value), unbalance_pct, arrayEnumerate(unbalance_pct))
) AS one
WHERE one.3 IS NOT NULL
COMMENT 'telemetry in long form: one row a component that has a value; ask for a device or a short time';

CREATE OR REPLACE VIEW latest_values AS
SELECT
    device_id, test, one.1 AS quantity, one.2 AS component,
    assumeNotNull(one.3.1) AS value, one.3.2 AS ts, one.3.3 AS event_ts, one.3.4 AS ingest_ts
FROM
(
    -- What makes a report the latest, as one number: the moment it is judged by, which no clock carries beyond its
    -- arrival, then its place, of which offset and index have 64 and 10 bits.
    WITH
        bitShiftLeft(toInt128(toUnixTimestamp64Milli(t.ts)), 74) + toInt128(t.`offset`) * 1024 + t.`index` AS place
    SELECT
        device_id, test,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), residual_current_ma), arrayMap(value -> if(isNull(value), -1, place), residual_current_ma)) AS residual_current_ma_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), temperature_c), arrayMap(value -> if(isNull(value), -1, place), temperature_c)) AS temperature_c_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), current_a), arrayMap(value -> if(isNull(value), -1, place), current_a)) AS current_a_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), voltage_v), arrayMap(value -> if(isNull(value), -1, place), voltage_v)) AS voltage_v_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), power_w), arrayMap(value -> if(isNull(value), -1, place), power_w)) AS power_w_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), arc_half_cycles), arrayMap(value -> if(isNull(value), -1, place), arc_half_cycles)) AS arc_half_cycles_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), smoke), arrayMap(value -> if(isNull(value), -1, place), smoke)) AS smoke_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), insulation_mohm), arrayMap(value -> if(isNull(value), -1, place), insulation_mohm)) AS insulation_mohm_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), static_v), arrayMap(value -> if(isNull(value), -1, place), static_v)) AS static_v_latest,
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), unbalance_pct), arrayMap(value -> if(isNull(value), -1, place), unbalance_pct)) AS unbalance_pct_latest
    FROM telemetry AS t
    WHERE t.ingest_ts > (SELECT max(ingest_ts) FROM telemetry) - toIntervalDay(1)
    GROUP BY device_id, test
)
ARRAY JOIN arrayConcat(
    arrayMap((value, n) -> ('residual_current_ma', toUInt8(n - 1), value), residual_current_ma_latest, arrayEnumerate(residual_current_ma_latest)),
    arrayMap((value, n) -> ('temperature_c', toUInt8(n - 1), value), temperature_c_latest, arrayEnumerate(temperature_c_latest)),
    arrayMap((value, n) -> ('current_a', toUInt8(n - 1), value), current_a_latest, arrayEnumerate(current_a_latest)),
    arrayMap((value, n) -> ('voltage_v', toUInt8(n - 1), value), voltage_v_latest, arrayEnumerate(voltage_v_latest)),
    arrayMap((value, n) -> ('power_w', toUInt8(n - 1), value), power_w_latest, arrayEnumerate(power_w_latest)),
    arrayMap((value, n) -> ('arc_half_cycles', toUInt8(n - 1), value), arc_half_cycles_latest, arrayEnumerate(arc_half_cycles_latest)),
    arrayMap((value, n) -> ('smoke', toUInt8(n - 1), value), smoke_latest, arrayEnumerate(smoke_latest)),
    arrayMap((value, n) -> ('insulation_mohm', toUInt8(n - 1), value), insulation_mohm_latest, arrayEnumerate(insulation_mohm_latest)),
    arrayMap((value, n) -> ('static_v', toUInt8(n - 1), value), static_v_latest, arrayEnumerate(static_v_latest)),
    arrayMap((value, n) -> ('unbalance_pct', toUInt8(n - 1), value), unbalance_pct_latest, arrayEnumerate(unbalance_pct_latest))
) AS one
WHERE one.3.1 IS NOT NULL
COMMENT 'latest value of each device, quantity and component, of devices heard in the day before the newest report';

CREATE OR REPLACE VIEW reports_per_minute AS
SELECT
    toStartOfMinute(toDateTime(ingest_ts)) AS minute_ts, device_kind, test,
    count() AS reports, uniqExact(device_id) AS devices,
    max(dateDiff('millisecond', ts, ingest_ts)) AS delay_ms_max, countIf(t.by_arrival) AS by_arrival
FROM telemetry AS t
GROUP BY minute_ts, device_kind, test
COMMENT 'reports and devices heard in each minute of arrival, the longest delay from measuring to arrival, and how many reports had no credible time';

-- A device's kind may change, as when it was sent wrong at first: it divides neither alarms nor states.
CREATE OR REPLACE VIEW alarms AS
-- What is told of an earlier onset, or of late values' severity, says nothing of whether it is over the limit now.
WITH e.event != 'amended' AND NOT (e.event = 'escalated' AND e.late) AS is_of_now
SELECT
    alarm_id, device_id, splitByChar('-', device_id)[1] AS area,
    argMax(e.device_kind, (e.ingest_ts, e.`offset`)) AS device_kind,
    kind, quantity, component, test, any(e.episode) AS episode,
    max(e.severity) AS severity,
    argMax(e.severity_label, (e.severity, e.ingest_ts, e.`offset`)) AS severity_label,
    argMaxIf(e.event, (e.ingest_ts, e.`offset`), is_of_now) != 'recovered' AS active,
    min(e.onset_ts) AS onset_ts,
    minOrNullIf(e.event_ts, e.event = 'opened') AS opened_ts,
    minOrNullIf(e.event_ts, e.event = 'escalated') AS escalated_ts,
    if(active, NULL, maxOrNullIf(e.event_ts, e.event = 'recovered')) AS recovered_ts,
    countIf(e.event = 'reactivated') AS reactivations,
    argMaxIf(e.value, (e.ingest_ts, e.`offset`), is_of_now) AS last_value,
    max(e.peak) AS peak,
    argMax(e.`limit`, (e.ingest_ts, e.`offset`)) AS `limit`,
    argMax(e.limit_from, (e.ingest_ts, e.`offset`)) AS limit_from,
    argMax(e.message, (e.ingest_ts, e.`offset`)) AS message,
    max(e.late) AS late
FROM alarm_events AS e
GROUP BY alarm_id, device_id, kind, quantity, component, test
COMMENT 'one row an alarm, its history folded: highest severity, when it began as far as is known now, when opened, escalated, recovered (NULL while active), peak, whether late values told of it';

CREATE OR REPLACE VIEW open_alarms AS
SELECT *
FROM alarms
ORDER BY episode DESC
LIMIT 1 BY device_id, component, kind, test
COMMENT 'the open alarm of each device, component and kind; an alarm stays open when its value recovers (active = false) until a person resets it, and resets are not recorded yet';

CREATE OR REPLACE VIEW device_status_now AS
SELECT
    device_id,
    argMax(e.device_kind, (e.ingest_ts, e.`offset`)) AS device_kind,
    test,
    argMax(e.status, (e.ingest_ts, e.`offset`)) AS status,
    argMax(e.faults, (e.ingest_ts, e.`offset`)) AS faults,
    argMax(e.since_ts, (e.ingest_ts, e.`offset`)) AS since_ts
FROM device_status_events AS e
GROUP BY device_id, test
COMMENT 'the latest state of each device: online, offline, overdue_offline, the faults it reports and those found of it';

CREATE OR REPLACE VIEW rejects_by_reason AS
SELECT
    toDate(ingest_ts, 'Asia/Shanghai') AS day, source_topic, reason, gateway,
    sum(r.reports) AS rejects, min(ingest_ts) AS first_ts, max(ingest_ts) AS last_ts,
    argMax(r.detail, (r.ingest_ts, r.`offset`)) AS last_detail
FROM rejects AS r
GROUP BY day, source_topic, reason, gateway
COMMENT 'rejects by day of arrival in Asia/Shanghai, reason and gateway (unknown where the record does not name it), with the latest detail as an example';
