-- Effects of facts are deliveries: nothing was ever written here.
DROP INDEX outbox_effect;
DROP INDEX outbox_due;
DROP TABLE outbox;

-- When what is told of a recording's state happened: of two facts the later counts, whichever comes
-- first.
ALTER TABLE recordings ADD COLUMN updated_at BIGINT;

-- Recordings are listed by the order of their ids, and without those that were deleted.
DROP INDEX recordings_organisation;
CREATE INDEX recordings_organisation ON recordings (organisation_id, id) WHERE deleted_at IS NULL;
CREATE INDEX recordings_open ON recordings (node_id, id) WHERE ended_at IS NULL;
CREATE INDEX recordings_kept ON recordings (node_id, id) WHERE deleted_at IS NULL;
