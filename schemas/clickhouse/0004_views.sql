-- Plain names for common questions. Every view tells test data apart by the column `test` (`test = false` is real).
-- Days are days in Asia/Shanghai. The area of a device is the part of its id before the first '-': there is no registry
-- of devices yet that would know better. What an alarm is "now" goes by the order of its events in their topic.
CREATE OR REPLACE VIEW telemetry_values AS
SELECT
    device_id, device_kind, test, event_ts, ingest_ts,
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
    device_id, test, quantity, component,
    -- A clock that runs ahead must not keep a value latest: a report is no newer than its arrival.
    argMax(value, (least(v.event_ts, v.ingest_ts), v.`offset`, v.`index`)) AS value,
    argMax(v.event_ts, (least(v.event_ts, v.ingest_ts), v.`offset`, v.`index`)) AS event_ts,
    argMax(v.ingest_ts, (least(v.event_ts, v.ingest_ts), v.`offset`, v.`index`)) AS ingest_ts
FROM telemetry_values AS v
WHERE v.ingest_ts > (SELECT max(ingest_ts) FROM telemetry) - toIntervalDay(1)
GROUP BY device_id, test, quantity, component
COMMENT 'latest value of each device, quantity and component, of devices heard in the day before the newest report';

CREATE OR REPLACE VIEW reports_per_minute AS
SELECT
    toStartOfMinute(toDateTime(ingest_ts)) AS minute_ts, device_kind, test,
    count() AS reports, uniqExact(device_id) AS devices,
    max(dateDiff('millisecond', event_ts, ingest_ts)) AS delay_ms_max
FROM telemetry
GROUP BY minute_ts, device_kind, test
COMMENT 'reports and devices heard in each minute of arrival, and the longest delay from measuring to arrival';

CREATE OR REPLACE VIEW alarms AS
SELECT
    alarm_id, device_id, splitByChar('-', device_id)[1] AS area, device_kind, kind, quantity, component, test,
    max(e.severity) AS severity,
    argMax(e.severity_label, (e.severity, e.ingest_ts, e.`offset`)) AS severity_label,
    argMax(e.event, (e.ingest_ts, e.`offset`)) != 'recovered' AS active,
    min(e.onset_ts) AS onset_ts,
    minOrNullIf(e.event_ts, e.event = 'opened') AS opened_ts,
    minOrNullIf(e.event_ts, e.event = 'escalated') AS escalated_ts,
    if(active, NULL, maxOrNullIf(e.event_ts, e.event = 'recovered')) AS recovered_ts,
    countIf(e.event = 'reactivated') AS reactivations,
    argMax(e.value, (e.ingest_ts, e.`offset`)) AS last_value,
    argMax(e.peak, (e.ingest_ts, e.`offset`)) AS peak,
    argMax(e.`limit`, (e.ingest_ts, e.`offset`)) AS `limit`,
    argMax(e.limit_from, (e.ingest_ts, e.`offset`)) AS limit_from,
    argMax(e.message, (e.ingest_ts, e.`offset`)) AS message
FROM alarm_events AS e
GROUP BY alarm_id, device_id, device_kind, kind, quantity, component, test
COMMENT 'one row an alarm, its history folded: highest severity, when opened, escalated, recovered (NULL while active), peak';

CREATE OR REPLACE VIEW open_alarms AS
SELECT *
FROM alarms
ORDER BY onset_ts DESC
LIMIT 1 BY device_id, component, kind, test
COMMENT 'the open alarm of each device, component and kind; an alarm stays open when its value recovers (active = false) until a person resets it, and resets are not recorded yet';

CREATE OR REPLACE VIEW alarms_daily AS
SELECT
    toDate(onset_ts, 'Asia/Shanghai') AS day, area, device_kind, device_id, kind, severity, severity_label, test,
    count() AS alarms, countIf(NOT active) AS recovered, countIf(escalated_ts IS NOT NULL) AS escalated
FROM alarms
GROUP BY day, area, device_kind, device_id, kind, severity, severity_label, test
COMMENT 'alarms by day of onset in Asia/Shanghai, area (the device id up to its first -), device, kind and highest severity';

CREATE OR REPLACE VIEW device_status_now AS
SELECT
    device_id, device_kind, test,
    argMax(e.status, (e.ingest_ts, e.`offset`)) AS status,
    argMax(e.faults, (e.ingest_ts, e.`offset`)) AS faults,
    argMax(e.since_ts, (e.ingest_ts, e.`offset`)) AS since_ts
FROM device_status_events AS e
GROUP BY device_id, device_kind, test
COMMENT 'the latest state of each device: online, offline, overdue_offline, and the faults it reports';

CREATE OR REPLACE VIEW rejects_by_reason AS
SELECT
    toDate(ingest_ts, 'Asia/Shanghai') AS day, source_topic, reason,
    count() AS rejects, min(ingest_ts) AS first_ts, max(ingest_ts) AS last_ts,
    argMax(r.detail, (r.ingest_ts, r.`offset`)) AS last_detail
FROM rejects AS r
GROUP BY day, source_topic, reason
COMMENT 'rejects by day of arrival in Asia/Shanghai and by reason, with the latest detail as an example';
