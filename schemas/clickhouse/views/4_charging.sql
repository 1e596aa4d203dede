-- Charges at charging piles, and what they come to (requirement B2).
CREATE OR REPLACE VIEW charges AS
SELECT
    s.device_id AS device_id, s.test AS test, s.port AS port, s.began_ts AS began_ts, s.ended_ts AS ended_ts,
    dateDiff('second', s.began_ts, s.ended_ts) AS lasted_s, s.energy_wh AS energy_wh, s.power_w_max AS power_w_max,
    s.stop_reason AS stop_reason, s.ended_as AS ended_as, s.settled AS settled, s.session_id AS session_id,
    r.area AS area, r.unit_id AS unit_id, r.unit_name AS unit_name, r.place_kind AS place_kind, r.address AS address,
    r.organisation_id AS organisation_id, r.organisation_name AS organisation_name, r.name AS device_name
FROM
(
    SELECT *
    FROM charging_sessions
    -- A charge is of one device, and that of one partition at a time: what is told last holds.
    ORDER BY amended DESC, ingest_ts DESC, `offset` DESC
    LIMIT 1 BY session_id
) AS s
LEFT ANY JOIN ({registrations}) AS r ON s.device_id = r.device_id
COMMENT 'one row a charge at a port of a charging pile, with what its settlement amended: when it began and ended, what it took, by which code it stopped (0 where nobody said) and of which sort that is (ordinary, abnormal, safety, unknown); unit and place, as registered now or, of removed devices, last';

CREATE OR REPLACE VIEW charging_daily AS
SELECT
    toDate(began_ts, 'Asia/Shanghai') AS day, area, unit_id, unit_name, place_kind, address, device_id, device_name,
    port, test,
    count() AS sessions, sum(energy_wh) / 1000 AS energy_kwh, sum(lasted_s) AS charging_s, max(power_w_max) AS power_w_max,
    countIf(ended_as IN ('abnormal', 'safety')) AS abnormal_cut_offs, countIf(ended_as = 'safety') AS safety_cut_offs,
    countIf(NOT settled) AS not_settled
FROM charges
GROUP BY day, area, unit_id, unit_name, place_kind, address, device_id, device_name, port, test
COMMENT 'charges by day of their beginning in Asia/Shanghai, station (unit, address), pile and port, from 0 (requirement B2): how many, what they took, how many were cut off for something abnormal, of these by a protection, and how many were never settled. Of several rows, add the counts';
