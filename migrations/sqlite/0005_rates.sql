-- What calls cost by destination: prices in millionths of a unit of the currency.
CREATE TABLE rates (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    currency TEXT NOT NULL,
    prefix TEXT NOT NULL,
    per_minute_micros INTEGER NOT NULL,
    increment_s INTEGER NOT NULL,
    connection_micros INTEGER NOT NULL,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX rates_prefix ON rates (organisation_id, currency, prefix)
    WHERE deleted_at IS NULL;

-- What a call that is over costs by these rates, until its carrier tells.
ALTER TABLE calls ADD COLUMN estimate_micros INTEGER;
ALTER TABLE calls ADD COLUMN estimate_currency TEXT;
