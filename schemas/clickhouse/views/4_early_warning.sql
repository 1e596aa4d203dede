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
