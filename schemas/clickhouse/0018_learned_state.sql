-- What early warning has learned of components, kept by `emberline hourly` (cli/hourly/learned.py): a row a slice of devices,
-- large and few, and of each the highest version counts. Nobody else has use for it.
CREATE TABLE IF NOT EXISTS learned_state
(
    slice UInt16,
    version UInt64 COMMENT 'rises with each run that changes it',
    hours_made UInt64 COMMENT 'hours whose made is no higher have been taken',
    devices Array(String) CODEC(ZSTD(1)) COMMENT 'of which devices it is',
    quantities Array(LowCardinality(String)),
    states Array(String) CODEC(ZSTD(1)) COMMENT 'by quantity, in the format of early_warning/state.py',
    seal String COMMENT 'checksum of the row',
    saved_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY slice
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'what early warning has learned of components, one row a slice of devices, or more before they are merged';
