-- People who signed in with a key. A session is found by its hash, and holds no longer than its key.
CREATE TABLE sessions (
    sha256 BLOB NOT NULL PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES api_keys (id),
    organisation_id BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_key ON sessions (key_id, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);
