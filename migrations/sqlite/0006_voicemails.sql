-- Messages that callers have left. Their sound lies on the disk of the node that took them.
CREATE TABLE voicemails (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    call_id BLOB NOT NULL,
    node_id BLOB NOT NULL,
    agent TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    heard_at INTEGER
) STRICT;
CREATE INDEX voicemails_organisation ON voicemails (organisation_id, id);
CREATE INDEX voicemails_unheard ON voicemails (organisation_id, id) WHERE heard_at IS NULL;
