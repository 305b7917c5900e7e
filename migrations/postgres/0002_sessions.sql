-- People who signed in with a key. A session is found by its hash, and holds no longer than its key.
CREATE TABLE sessions (
    sha256 BYTEA NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_keys (id),
    organisation_id BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_key ON sessions (key_id, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);
