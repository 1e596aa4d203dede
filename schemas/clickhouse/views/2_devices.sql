-- Devices: what is registered of them, and how they are.
CREATE OR REPLACE VIEW devices AS
SELECT * EXCEPT removed
FROM ({registrations})
WHERE NOT removed
COMMENT 'one row a device that is registered now, by the highest epoch and number of its entry: its kind, unit, organisation, area (GB/T 2260, 6, 9 or 12 digits), kind of place, address, rated values, components; removed ones are in registry_history';

CREATE OR REPLACE VIEW device_status_now AS
SELECT
    s.device_id AS device_id, if(r.kind = '', s.device_kind, r.kind) AS device_kind, s.test AS test,
    s.status AS status, s.faults AS faults, s.since_ts AS since_ts, s.maintained_until_ts AS maintained_until_ts,
    r.device_id != '' AND NOT r.removed AS registered, r.removed AS removed,
    r.name AS device_name, r.area AS area, r.unit_id AS unit_id, r.unit_name AS unit_name, r.place_kind AS place_kind,
    r.organisation_id AS organisation_id, r.organisation_name AS organisation_name, r.address AS address
FROM
(
    SELECT
        device_id, test,
        argMax(e.device_kind, (e.ingest_ts, e.`offset`)) AS device_kind,
        argMax(e.status, (e.ingest_ts, e.`offset`)) AS status,
        argMax(e.faults, (e.ingest_ts, e.`offset`)) AS faults,
        argMax(e.since_ts, (e.ingest_ts, e.`offset`)) AS since_ts,
        argMax(e.maintained_until_ts, (e.ingest_ts, e.`offset`)) AS maintained_until_ts
    FROM device_status_events AS e
    GROUP BY device_id, test
) AS s
LEFT ANY JOIN ({registrations}) AS r ON s.device_id = r.device_id
COMMENT 'the latest state of each device that reports: online, offline, overdue_offline, the faults it reports and those found of it, until when people are at work at it; and what is registered of it (empty where nothing is; what was last, where it is removed)';

CREATE OR REPLACE VIEW unregistered_devices AS
SELECT device_id, device_kind, test, status, since_ts, removed
FROM device_status_now
WHERE NOT registered
COMMENT 'devices that report and are not registered, or not any more (removed)';
