-- What calls cost by destination: prices in millionths of a unit of the currency.
CREATE TABLE rates (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    currency TEXT NOT NULL,
    prefix TEXT NOT NULL,
    per_minute_micros BIGINT NOT NULL,
    increment_s BIGINT NOT NULL,
    connection_micros BIGINT NOT NULL,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX rates_prefix ON rates (organisation_id, currency, prefix)
    WHERE deleted_at IS NULL;

-- What a call that is over costs by these rates, until its carrier tells.
ALTER TABLE calls ADD COLUMN estimate_micros BIGINT;
ALTER TABLE calls ADD COLUMN estimate_currency TEXT;
