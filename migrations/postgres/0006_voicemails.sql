-- Messages that callers have left. Their sound lies on the disk of the node that took them.
CREATE TABLE voicemails (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    call_id BYTEA NOT NULL,
    node_id BYTEA NOT NULL,
    agent TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    heard_at BIGINT
);
CREATE INDEX voicemails_organisation ON voicemails (organisation_id, id);
CREATE INDEX voicemails_unheard ON voicemails (organisation_id, id) WHERE heard_at IS NULL;
