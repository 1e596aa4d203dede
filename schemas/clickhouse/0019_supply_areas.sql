-- Of a device's unit: its low-voltage supply area, and its residual-current protectors (requirement C8). An entry of a release
-- before says nothing of them.
ALTER TABLE registry_history
    ADD COLUMN IF NOT EXISTS supply_area LowCardinality(String) COMMENT 'low-voltage supply area (台区) of the unit'
        AFTER interval_s,
    ADD COLUMN IF NOT EXISTS household_protectors_due Nullable(UInt32) CODEC(ZSTD(1))
        COMMENT 'household residual-current protectors (户保) of the unit: how many there are to be' AFTER supply_area,
    ADD COLUMN IF NOT EXISTS household_protectors_installed Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'are installed'
        AFTER household_protectors_due,
    ADD COLUMN IF NOT EXISTS household_protectors_operating Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'are in operation'
        AFTER household_protectors_installed,
    ADD COLUMN IF NOT EXISTS main_protectors_due Nullable(UInt32) CODEC(ZSTD(1))
        COMMENT 'main protectors (总保) of the unit, likewise' AFTER household_protectors_operating,
    ADD COLUMN IF NOT EXISTS main_protectors_installed Nullable(UInt32) CODEC(ZSTD(1)) AFTER main_protectors_due,
    ADD COLUMN IF NOT EXISTS main_protectors_operating Nullable(UInt32) CODEC(ZSTD(1)) AFTER main_protectors_installed;
