-- What early warning says.
CREATE OR REPLACE VIEW notices AS
SELECT
    notice_id, severity_label, rule, rule_label, device_id, quantity, component, hour_ts,
    any(n.excess) AS excess, any(n.message) AS message, any(n.advice) AS advice, any(n.evidence) AS evidence,
    any(n.device_kind) AS device_kind, any(n.unit_id) AS unit_id, any(n.unit_name) AS unit_name,
    any(n.place) AS place, any(n.area) AS area, min(n.ingest_ts) AS told_ts
FROM notice_records AS n
GROUP BY notice_id, severity_label, rule, rule_label, device_id, quantity, component, hour_ts
COMMENT 'one row a notice (提示) of early warning, however often it was published: of which component and hour, by which rule, how far that is from normal (excess, mA or K), what to do, the numbers behind it; unit, place and area as registered then; told_ts is when it was first published';

-- Each rated thing is rated once a day at least, so the newest is of the last two days in which anything was.
CREATE OR REPLACE VIEW risk_component_history AS
SELECT
    r.rated_ts AS rated_ts, r.device_id AS device_id, r.quantity AS quantity, r.component AS component,
    r.unit_id AS unit_id, r.area AS area, r.`index` AS `index`, r.colour AS colour,
    transform(r.colour, ['red', 'yellow', 'green'], ['红', '黄', '绿'], '') AS colour_label,
    r.exceedance AS exceedance, r.trend AS trend, r.alarms AS alarms, r.rectification AS rectification, r.gaps AS gaps,
    r.age AS age, p.weights AS weights
FROM risk_component_ratings AS r FINAL
LEFT ANY JOIN risk_parameters AS p ON r.parameters = p.parameters
COMMENT 'the risk index of components (0 to 100, 100 is without any risk that shows) each time it changed, and once a day: its parts, 0 for well to 1 for as bad as it gets: 超限程度 exceedance, 变化趋势 trend, 未核实告警 alarms, 整改超期 rectification, 数据缺失 gaps, 使用年限 age; and their weights';

CREATE OR REPLACE VIEW risk_components AS
SELECT *
FROM risk_component_history
WHERE rated_ts > (SELECT max(rated_ts) FROM risk_component_ratings) - toIntervalDay(2)
ORDER BY rated_ts DESC
LIMIT 1 BY device_id, quantity, component
COMMENT 'the newest risk index of each component that was rated within two days, with its parts and weights; see risk_component_history';

CREATE OR REPLACE VIEW risk_unit_history AS
SELECT
    rated_ts, id AS unit_id, name AS unit_name, area, `index`, colour,
    transform(colour, ['red', 'yellow', 'green'], ['红', '黄', '绿'], '') AS colour_label, worst, mean, members AS components
FROM risk_group_ratings FINAL
WHERE level = 'unit'
COMMENT 'the risk index of units each time it changed, and once a day: their worst component blended with the mean of all';

CREATE OR REPLACE VIEW risk_units AS
SELECT *
FROM risk_unit_history
WHERE rated_ts > (SELECT max(rated_ts) FROM risk_group_ratings) - toIntervalDay(2)
ORDER BY rated_ts DESC
LIMIT 1 BY unit_id
COMMENT 'the newest risk index of each unit, see risk_unit_history';

CREATE OR REPLACE VIEW risk_area_history AS
SELECT
    rated_ts, id AS area, `index`, colour,
    transform(colour, ['red', 'yellow', 'green'], ['红', '黄', '绿'], '') AS colour_label, worst, mean, members AS units
FROM risk_group_ratings FINAL
WHERE level = 'area'
COMMENT 'the risk index of areas (counties of 6 digits, streets of 9, communities of 12) each time it changed, and once a day: their worst unit blended with the mean of all';

CREATE OR REPLACE VIEW risk_areas AS
SELECT *
FROM risk_area_history
WHERE rated_ts > (SELECT max(rated_ts) FROM risk_group_ratings) - toIntervalDay(2)
ORDER BY rated_ts DESC
LIMIT 1 BY area
COMMENT 'the newest risk index of each area, see risk_area_history';
