-- The latest values again, by folding arrays instead of their elements: the same answer eight times as fast [measured].
CREATE OR REPLACE VIEW latest_values AS
SELECT
    device_id, test, one.1 AS quantity, one.2 AS component,
    assumeNotNull(one.3.1) AS value, one.3.2 AS event_ts, one.3.3 AS ingest_ts
FROM
(
    -- What makes a report the latest, as one number. A clock that runs ahead must not keep a value latest: a report is no
    -- newer than its arrival. Then its place, of which offset and index have 64 and 10 bits.
    WITH
        bitShiftLeft(toInt128(toUnixTimestamp64Milli(least(t.event_ts, t.ingest_ts))), 74)
            + toInt128(t.`offset`) * 1024 + t.`index` AS place
    SELECT
        device_id, test,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), residual_current_ma), arrayMap(value -> if(isNull(value), -1, place), residual_current_ma)) AS residual_current_ma_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), temperature_c), arrayMap(value -> if(isNull(value), -1, place), temperature_c)) AS temperature_c_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), current_a), arrayMap(value -> if(isNull(value), -1, place), current_a)) AS current_a_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), voltage_v), arrayMap(value -> if(isNull(value), -1, place), voltage_v)) AS voltage_v_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), power_w), arrayMap(value -> if(isNull(value), -1, place), power_w)) AS power_w_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), arc_half_cycles), arrayMap(value -> if(isNull(value), -1, place), arc_half_cycles)) AS arc_half_cycles_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), smoke), arrayMap(value -> if(isNull(value), -1, place), smoke)) AS smoke_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), insulation_mohm), arrayMap(value -> if(isNull(value), -1, place), insulation_mohm)) AS insulation_mohm_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), static_v), arrayMap(value -> if(isNull(value), -1, place), static_v)) AS static_v_latest,
        argMaxForEach(arrayMap(value -> (value, t.event_ts, t.ingest_ts), unbalance_pct), arrayMap(value -> if(isNull(value), -1, place), unbalance_pct)) AS unbalance_pct_latest
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
