-- What authorities ask for: alarms by time, area, place and kind (requirement A5), supply areas and protectors (C8).
CREATE OR REPLACE VIEW alarm_statistics AS
SELECT
    toDate(onset_ts, 'Asia/Shanghai') AS day, area, place_kind, unit_id, unit_name, kind, severity_highest, severity_label,
    test, maintenance,
    count() AS alarms, uniqExact(device_id) AS devices, countIf(ended_ts IS NULL) AS open,
    countIf(first_acknowledged_ts IS NOT NULL) AS acknowledged, countIf(first_assigned_ts IS NOT NULL) AS assigned,
    countIf(handled_ts IS NOT NULL) AS handled, countIf(overdue) AS overdue,
    countIf(verdict = 'true') AS true_alarms, countIf(verdict = 'false') AS false_alarms,
    quantileExactIf(0.5)(dateDiff('second', latched_ts, handled_ts), handled_ts IS NOT NULL) AS handle_s_median
FROM alarms AS a
GROUP BY
    day, area, place_kind, unit_id, unit_name, kind, severity_highest, severity_label, test, maintenance
COMMENT 'alarms by day of onset in Asia/Shanghai, area (its first 6 and 9 digits are county and street), kind of place, unit, kind and highest severity (requirement A5), and how they were handled: acknowledged ever, assigned, handled (reset, or at charging piles seen to), late with that, judged true or false. Of several rows add the counts';

CREATE OR REPLACE VIEW low_voltage_areas AS
WITH
    0.9 * if(r.nominal_voltage_v > 0, r.nominal_voltage_v, 220) AS lowest,
    -- Below half of it the phase is lost, which is another thing.
    h.mean < lowest AND h.mean >= lowest / 1.8 AS is_low
SELECT
    toDate(h.hour_ts, 'Asia/Shanghai') AS day, r.supply_area AS supply_area, any(r.area) AS area, h.test AS test,
    uniqExact(h.device_id) AS devices, uniqExactIf(h.device_id, is_low) AS low_devices,
    count() AS hours, countIf(is_low) AS low_hours, minIf(h.mean, is_low) AS voltage_v_min
FROM hours AS h
LEFT ANY JOIN devices AS r ON h.device_id = r.device_id
WHERE h.quantity = 'voltage_v' AND r.supply_area != ''
GROUP BY day, supply_area, test
HAVING low_hours > 0
COMMENT 'low-voltage supply areas (低电压台区, requirement C8) by day in Asia/Shanghai: those where a phase had less than 90 % of the nominal voltage (GB/T 12325; 220 V where none is registered) in the mean of an hour; how many of its devices and of their hours of phases that is, and the lowest hour. Ask for some days';

CREATE OR REPLACE VIEW protector_rates AS
SELECT
    area, supply_area, count() AS units,
    sum(u.household.1) AS household_due, sum(u.household.2) AS household_installed,
    sum(u.household.3) AS household_operating,
    sumIf(u.household.2, u.household.1 IS NOT NULL) / nullIf(sumIf(u.household.1, u.household.2 IS NOT NULL), 0)
        AS household_installed_share,
    sumIf(u.household.3, u.household.2 IS NOT NULL) / nullIf(sumIf(u.household.2, u.household.3 IS NOT NULL), 0)
        AS household_operating_share,
    sum(u.main.1) AS main_due, sum(u.main.2) AS main_installed, sum(u.main.3) AS main_operating,
    sumIf(u.main.2, u.main.1 IS NOT NULL) / nullIf(sumIf(u.main.1, u.main.2 IS NOT NULL), 0) AS main_installed_share,
    sumIf(u.main.3, u.main.2 IS NOT NULL) / nullIf(sumIf(u.main.2, u.main.3 IS NOT NULL), 0) AS main_operating_share
FROM
(
    SELECT
        unit_id, argMax(d.area, d.changed_ts) AS area, argMax(d.supply_area, d.changed_ts) AS supply_area,
        argMax((d.household_protectors_due, d.household_protectors_installed, d.household_protectors_operating), d.changed_ts)
            AS household,
        argMax((d.main_protectors_due, d.main_protectors_installed, d.main_protectors_operating), d.changed_ts) AS main
    FROM devices AS d
    WHERE unit_id != ''
    GROUP BY unit_id
) AS u
GROUP BY area, supply_area
COMMENT 'residual-current protectors of households (户保) and mains (总保) by area and supply area, of units that have a registered device (requirement C8: of households 95 % and up are to be in operation, of mains all): how many there are to be, are installed and in operation, and the shares of those due and of those installed, of units of which both are known; NULL where nothing is';
