-- Telemetry as people ask for it. A line that holds a quantity in braces stands for a line of each quantity.
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
    arrayMap((value, n) -> ('{quantity}', toUInt8(n - 1), value), {quantity}, arrayEnumerate({quantity}))
) AS one
WHERE one.3 IS NOT NULL
COMMENT 'telemetry in long form: one row a component that has a value; ask for a device or a short time';

-- Arrays are folded instead of their elements: the same answer eight times as fast [measured].
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
        argMaxForEach(arrayMap(value -> (value, t.ts, t.event_ts, t.ingest_ts), {quantity}), arrayMap(value -> if(isNull(value), -1, place), {quantity})) AS {quantity}_latest
    FROM telemetry AS t
    WHERE t.ingest_ts > (SELECT max(ingest_ts) FROM telemetry) - toIntervalDay(1)
    GROUP BY device_id, test
)
ARRAY JOIN arrayConcat(
    arrayMap((value, n) -> ('{quantity}', toUInt8(n - 1), value), {quantity}_latest, arrayEnumerate({quantity}_latest))
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

CREATE OR REPLACE VIEW hours AS
SELECT device_id, device_kind, test, quantity, component, hour_ts, count, min, max, mean
FROM aggregates_1h FINAL
COMMENT 'one row an hour of a component that has a value: how many values, the least, the greatest, their mean; made by `emberline hourly` once the hour has closed, and again where late minutes come';

CREATE OR REPLACE VIEW days AS
SELECT device_id, device_kind, test, quantity, component, day, hours, count, min, max, mean
FROM aggregates_1d FINAL
COMMENT 'one row a day (Asia/Shanghai) of a component that has a value: in how many hours it has one, how many values, the least, the greatest, their mean; made from hours once the day has closed, and again where late ones come';

CREATE OR REPLACE VIEW rejects_by_reason AS
SELECT
    toDate(ingest_ts, 'Asia/Shanghai') AS day, source_topic, reason, gateway,
    sum(r.reports) AS rejects, min(ingest_ts) AS first_ts, max(ingest_ts) AS last_ts,
    argMax(r.detail, (r.ingest_ts, r.`offset`)) AS last_detail
FROM rejects AS r
GROUP BY day, source_topic, reason, gateway
COMMENT 'rejects by day of arrival in Asia/Shanghai, reason and gateway (unknown where the record does not name it), with the latest detail as an example';

CREATE OR REPLACE VIEW backfill_runs AS
SELECT
    run_id, min(m.marked_at) AS started_at, maxOrNullIf(m.marked_at, m.mark = 'finished') AS finished_at,
    any(m.from_ts) AS from_ts, any(m.to_ts) AS to_ts, any(m.warm_up_ms) AS warm_up_ms, any(m.devices) AS devices,
    any(m.limits_file) AS limits_file, any(m.limits_hash) AS limits_hash,
    max(m.reports) AS reports, max(m.alarm_events) AS alarm_events
FROM backfill_marks AS m
GROUP BY run_id
COMMENT 'one row a backfill; finished_at is NULL while it runs and for ever if it broke off';
