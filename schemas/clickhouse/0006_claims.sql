-- Who may write a partition of a topic: the sink that claimed it last. Every INSERT into the tables above asks here and
-- fails if its sink is not that one any more, so what a paused worker still sends when it wakes lands nowhere. See
-- `sinks.clickhouse.claims`. One row a partition after merges; without a TTL, for the highest claim must never go back.
CREATE TABLE IF NOT EXISTS claims
(
    topic LowCardinality(String),
    topic_id UUID,
    `partition` Int32,
    claim SimpleAggregateFunction(max, String) COMMENT 'a number that rises with every claim, eight hex digits, and the sink'
)
ENGINE = AggregatingMergeTree
ORDER BY (topic, topic_id, `partition`)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'the sink that may write each partition of each topic: the one with the highest claim';
