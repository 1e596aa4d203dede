-- Alarms, each one episode. A fold of all of them costs what the whole history costs; what is open is looked up by device
-- and id, and costs what is open.
CREATE OR REPLACE VIEW open_candidates AS
SELECT device_id, alarm_id
FROM alarm_marks
GROUP BY device_id, alarm_id
HAVING sum(sign) > 0
COMMENT 'all alarms that are open, and few that are not; see open_alarms for those that are';

CREATE OR REPLACE VIEW alarms AS
{alarms}
COMMENT 'one row an alarm, that is one episode, its history and what people did folded: how bad it is now (0 where it is normal again) and was at most; when it began as far as is known now, was told as provisional (provisional_ts, by arrival; NULL where it was opened at once), was opened or confirmed (opened_ts, and latched_ts by arrival), escalated, recovered (NULL while active), by what, whom and why it ended (NULL and empty while it is open); whether an acknowledgement reaches its last opening, confirmation, escalation, worsening or reactivation; muted_until (NULL where it is not), assignee, verdict, comments, version of the last action; unit and place, as registered now or, of removed devices, last (empty where nothing is); until when it was to be handled, and whether it is or was overdue';

CREATE OR REPLACE VIEW open_alarms AS
SELECT *
FROM (SELECT * FROM ({alarms of open_candidates}) ORDER BY episode DESC LIMIT 1 BY device_id, component, kind, test)
WHERE ended_ts IS NULL
COMMENT 'the open alarm of each device, component and kind, with the columns of alarms: one that nobody has reset; where its value is normal again, active = false';

CREATE OR REPLACE VIEW alarms_daily AS
SELECT
    toDate(onset_ts, 'Asia/Shanghai') AS day, area, place_kind, unit_id, unit_name, device_kind, device_id, kind,
    severity_highest, severity_label, test, maintenance,
    count() AS alarms, countIf(NOT active) AS recovered, countIf(escalated_ts IS NOT NULL) AS escalated,
    countIf(acknowledged) AS acknowledged, countIf(ended_as = 'reset') AS reset,
    countIf(ended_as = 'superseded') AS never_reset
FROM alarms AS a
GROUP BY
    day, area, place_kind, unit_id, unit_name, device_kind, device_id, kind, severity_highest, severity_label, test,
    maintenance
COMMENT 'alarms by day of onset in Asia/Shanghai, area (its first 6 and 9 digits are county and street), kind of place, unit, device, kind and highest severity; and how many of them were acknowledged and reset, and how many never were reset before the same happened again';

CREATE OR REPLACE VIEW alarm_precision AS
SELECT
    toStartOfMonth(toDate(onset_ts, 'Asia/Shanghai')) AS month, kind, area, place_kind, test, maintenance,
    count() AS alarms, countIf(verdict != '') AS judged,
    countIf(verdict = 'true') AS true_alarms, countIf(verdict = 'false') AS false_alarms,
    countIf(verdict = 'test') AS test_alarms, countIf(verdict = 'unknown') AS unknown_alarms,
    if(true_alarms + false_alarms = 0, NULL, true_alarms / (true_alarms + false_alarms)) AS precision,
    judged / alarms AS share_judged
FROM alarms AS a
GROUP BY month, kind, area, place_kind, test, maintenance
COMMENT 'how right alarms were, by verdicts (requirement C5): by month of onset in Asia/Shanghai, kind, area and kind of place; precision is true / (true + false), NULL where there is neither. Of several rows, add the counts and divide then';

CREATE OR REPLACE VIEW alarm_handling AS
SELECT
    alarm_id, device_id, device_kind, kind, component, test, maintenance, severity_highest, area, unit_id, unit_name,
    place_kind, organisation_id, organisation_name, episode, latched_ts, first_acknowledged_ts, first_assigned_ts, assignee,
    ended_ts, ended_as, due_ts, handled_ts, overdue,
    dateDiff('second', latched_ts, first_acknowledged_ts) AS acknowledge_s,
    if(ended_as = 'reset', dateDiff('second', latched_ts, ended_ts), NULL) AS reset_s
FROM alarms
COMMENT 'one row an alarm: how long after the arrival of what opened or confirmed it (latched_ts) it was first acknowledged and was reset, when it was to be handled (due_ts), when it was (handled_ts), and whether it is or was overdue. Alarms are to be reset or closed within 7 days (requirement A14). At charging piles somebody is to be on site within 3 days (B6): until there are work orders, an acknowledgement or an assignment stands for that';

CREATE OR REPLACE VIEW overdue_alarms AS
SELECT *
FROM open_alarms
WHERE overdue AND handled_ts IS NULL
COMMENT 'open alarms that are overdue now (see alarm_handling), with the columns of open_alarms';

-- One row of alarm_events each, without a fold: of a provisional that waits the row that told it, of another the row that
-- confirmed or withdrew it. The ids of all that ended are held meanwhile, as 16 bytes each, whatever is asked for.
CREATE OR REPLACE VIEW provisional_alarms AS
SELECT
    e.alarm_id AS alarm_id, e.device_id AS device_id,
    r.area AS area, r.unit_id AS unit_id, r.unit_name AS unit_name, r.place_kind AS place_kind,
    r.organisation_id AS organisation_id, r.organisation_name AS organisation_name, r.address AS address,
    r.name AS device_name, if(r.kind = '', e.device_kind, r.kind) AS device_kind,
    e.kind AS kind, e.quantity AS quantity, e.component AS component, e.test AS test,
    e.episode AS episode, e.onset_ts AS onset_ts,
    if(e.event = 'provisional', 'waiting', toString(e.event)) AS state,
    if(state = 'waiting', NULL, e.ingest_ts) AS ended_ts, e.`by` AS ended_by, e.why AS ended_why,
    -- Of what is withdrawn the value of now is the one that withdrew it.
    e.peak AS value, e.`limit` AS `limit`, e.limit_from AS limit_from, e.message AS message,
    e.late AS late, e.maintenance AS maintenance
FROM alarm_events AS e
LEFT ANY JOIN ({registrations}) AS r ON e.device_id = r.device_id
WHERE e.event IN ('confirmed', 'withdrawn') OR e.event = 'provisional' AND sipHash128(e.alarm_id) NOT IN (
    SELECT sipHash128(alarm_id) FROM alarm_events WHERE event IN ('opened', 'confirmed', 'withdrawn')
)
COMMENT 'one row a provisional, that is a single value over a limit of a component that speaks seldom: whether it waits for the next value (state waiting, some for ever), or was confirmed (and is one of alarms since) or withdrawn, when (ended_ts, by arrival), and where a person did that by whom and why; since when it is there (episode by arrival, onset_ts by event time); the worst value so far and its limit; unit and place, as registered now or, of removed devices, last';
