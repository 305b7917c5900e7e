-- Everything that is kept. The same tables, columns and keys as for PostgreSQL; a test compares them.
-- Times are microseconds since 1970, identifiers the 16 bytes of a UUID (version 7), sealed columns
-- hold what only the sealing keys open. Rows of `origin` 'file' come from the configuration file.

-- What the store knows of itself.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- Counts the changes that a running server must see.
CREATE TABLE revisions (
    name TEXT NOT NULL PRIMARY KEY,
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO revisions (name, revision) VALUES ('directory', 1);

CREATE TABLE organisations (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    max_calls INTEGER,
    calls_per_second INTEGER,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX organisations_name ON organisations (name) WHERE deleted_at IS NULL;

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX api_keys_sha256 ON api_keys (sha256);
CREATE INDEX api_keys_organisation ON api_keys (organisation_id, created_at, id);

-- One set of credentials of one provider. The token is part of the URLs that carriers call: shown
-- again, so sealed, and found by its hash. The account finds the tenant of a call; it may be
-- secret, so its hash is kept.
CREATE TABLE configurations (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    account_sha256 BLOB,
    settings TEXT NOT NULL,
    credentials BLOB,
    token BLOB NOT NULL,
    token_sha256 BLOB NOT NULL,
    is_default_outbound INTEGER NOT NULL,
    inactive_since INTEGER,
    inactive_reason TEXT,
    max_calls INTEGER,
    calls_per_second INTEGER,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX configurations_name ON configurations (organisation_id, name)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX configurations_default ON configurations (organisation_id)
    WHERE is_default_outbound AND deleted_at IS NULL;
CREATE UNIQUE INDEX configurations_token ON configurations (token_sha256);

CREATE TABLE trunks (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    configuration_id BLOB REFERENCES configurations (id),
    name TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    settings TEXT NOT NULL,
    credentials BLOB,
    external_id TEXT,
    max_calls INTEGER,
    calls_per_second INTEGER,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX trunks_name ON trunks (configuration_id, name)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX trunks_name_alone ON trunks (organisation_id, name)
    WHERE configuration_id IS NULL AND deleted_at IS NULL;

-- Settings are sealed too: URLs of agents may hold tokens.
CREATE TABLE agents (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    settings BLOB NOT NULL,
    secret BLOB,
    max_calls INTEGER,
    calls_per_second INTEGER,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX agents_name ON agents (organisation_id, name) WHERE deleted_at IS NULL;

-- Provider and account are those of the configuration: what a carrier tells of a call leads to one
-- number, whatever organisation it belongs to.
CREATE TABLE numbers (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    configuration_id BLOB NOT NULL REFERENCES configurations (id),
    trunk_id BLOB REFERENCES trunks (id),
    agent_id BLOB REFERENCES agents (id),
    provider TEXT NOT NULL,
    account_sha256 BLOB,
    address TEXT NOT NULL,
    address_normalised TEXT NOT NULL,
    address_type TEXT NOT NULL,
    country TEXT,
    label TEXT,
    is_active INTEGER NOT NULL,
    is_default_caller_id INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    max_calls INTEGER,
    calls_per_second INTEGER,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX numbers_routing_key ON numbers (provider, account_sha256, address_normalised)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX numbers_address ON numbers (configuration_id, address_normalised)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX numbers_default ON numbers (configuration_id)
    WHERE is_default_caller_id AND deleted_at IS NULL;
CREATE INDEX numbers_organisation ON numbers (organisation_id, id);

-- Which agent takes a call: the conditions that a column cannot express are JSON.
CREATE TABLE routes (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    name TEXT,
    priority INTEGER NOT NULL,
    pattern TEXT NOT NULL,
    configuration_id BLOB REFERENCES configurations (id),
    trunk_id BLOB REFERENCES trunks (id),
    number_id BLOB REFERENCES numbers (id),
    agent_id BLOB REFERENCES agents (id),
    conditions TEXT NOT NULL,
    settings TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX routes_organisation ON routes (organisation_id, priority, id);

-- A call as its events add up to it. It refers to what it used by identifier and by the name of
-- that time, as what it used may be gone.
CREATE TABLE calls (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL,
    node_id BLOB,
    direction TEXT NOT NULL,
    state TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    agent_id BLOB,
    agent TEXT,
    trunk_id BLOB,
    trunk TEXT,
    configuration_id BLOB,
    number_id BLOB,
    provider TEXT,
    carrier_call_id TEXT,
    parent_id BLOB,
    cause TEXT,
    ended_by TEXT,
    sip_code INTEGER,
    q850 INTEGER,
    reason TEXT,
    created_at INTEGER NOT NULL,
    queued_at INTEGER,
    ringing_at INTEGER,
    answered_at INTEGER,
    ended_at INTEGER,
    updated_at INTEGER NOT NULL,
    duration_ms INTEGER,
    billed_s INTEGER,
    cost_micros INTEGER,
    currency TEXT,
    quality TEXT,
    variables TEXT,
    summary TEXT,
    is_incomplete INTEGER NOT NULL
) STRICT;
CREATE INDEX calls_time ON calls (organisation_id, created_at, id);
CREATE INDEX calls_state ON calls (organisation_id, state, created_at, id);
CREATE INDEX calls_direction ON calls (organisation_id, direction, created_at, id);
CREATE INDEX calls_from ON calls (organisation_id, from_number, created_at, id);
CREATE INDEX calls_to ON calls (organisation_id, to_number, created_at, id);
CREATE INDEX calls_agent ON calls (organisation_id, agent, created_at, id);
CREATE INDEX calls_trunk ON calls (organisation_id, trunk, created_at, id);
CREATE INDEX calls_configuration ON calls (organisation_id, configuration_id, created_at, id);
CREATE INDEX calls_carrier ON calls (configuration_id, carrier_call_id);
CREATE INDEX calls_living ON calls (node_id, id) WHERE ended_at IS NULL;
CREATE INDEX calls_open ON calls (organisation_id, created_at, id) WHERE ended_at IS NULL;

-- Facts, never changed. `id` orders what an organisation is told.
CREATE TABLE call_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organisation_id BLOB NOT NULL,
    call_id BLOB NOT NULL,
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX call_events_source ON call_events (call_id, source, source_id);
CREATE INDEX call_events_call ON call_events (call_id, id);
CREATE INDEX call_events_organisation ON call_events (organisation_id, id);

CREATE TABLE quality_samples (
    call_id BLOB NOT NULL,
    leg TEXT NOT NULL,
    at INTEGER NOT NULL,
    organisation_id BLOB NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (call_id, leg, at)
) STRICT;

-- Signalling and agent messages of a call that is captured.
CREATE TABLE messages (
    call_id BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    organisation_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    is_sent INTEGER NOT NULL,
    peer TEXT NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (call_id, sequence)
) STRICT;

CREATE TABLE transfers (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL,
    call_id BLOB NOT NULL,
    node_id BLOB,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    destination TEXT NOT NULL,
    other_call_id BLOB,
    options TEXT NOT NULL,
    cause TEXT,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX transfers_call ON transfers (call_id, id);
CREATE INDEX transfers_living ON transfers (node_id, id) WHERE ended_at IS NULL;

CREATE TABLE recordings (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL,
    call_id BLOB NOT NULL,
    node_id BLOB,
    path TEXT NOT NULL,
    state TEXT NOT NULL,
    channels INTEGER NOT NULL,
    rate_hz INTEGER NOT NULL,
    size_bytes INTEGER,
    duration_ms INTEGER,
    created_at INTEGER NOT NULL,
    ended_at INTEGER,
    deleted_at INTEGER
) STRICT;
CREATE INDEX recordings_call ON recordings (call_id, id);
CREATE INDEX recordings_organisation ON recordings (organisation_id, created_at, id);

-- Effects that follow from facts, each once: committed together with what causes it.
CREATE TABLE outbox (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL,
    kind TEXT NOT NULL,
    effect_key TEXT NOT NULL,
    call_id BLOB,
    payload TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    claimed_by BLOB,
    claimed_until INTEGER,
    done_at INTEGER
) STRICT;
CREATE UNIQUE INDEX outbox_effect ON outbox (organisation_id, effect_key);
CREATE INDEX outbox_due ON outbox (due_at, id) WHERE done_at IS NULL;

CREATE TABLE subscriptions (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL REFERENCES organisations (id),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret BLOB NOT NULL,
    description TEXT,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX subscriptions_organisation ON subscriptions (organisation_id, id);

CREATE TABLE deliveries (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL,
    subscription_id BLOB NOT NULL REFERENCES subscriptions (id),
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    status_code INTEGER,
    error TEXT,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    claimed_by BLOB,
    claimed_until INTEGER,
    ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX deliveries_event ON deliveries (subscription_id, event_id);
CREATE INDEX deliveries_due ON deliveries (due_at, id) WHERE ended_at IS NULL;
CREATE INDEX deliveries_waiting ON deliveries (subscription_id, due_at, id)
    WHERE ended_at IS NULL;
CREATE INDEX deliveries_subscription ON deliveries (subscription_id, id);
CREATE INDEX deliveries_list ON deliveries (organisation_id, state, created_at, id);

-- Answers given to requests that may come again. Sealed, as an answer may hold a key.
CREATE TABLE idempotency_keys (
    organisation_id BLOB NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_sha256 BLOB NOT NULL,
    status INTEGER,
    answer BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (organisation_id, idempotency_key)
) STRICT;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE nodes (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    is_draining INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    stopped_at INTEGER
) STRICT;
CREATE INDEX nodes_heartbeat ON nodes (heartbeat_at) WHERE stopped_at IS NULL;

-- What one node at a time does. The token grows with each owner, so that a late one is told.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    node_id BLOB NOT NULL,
    token INTEGER NOT NULL,
    acquired_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE audit_log (
    id BLOB NOT NULL PRIMARY KEY,
    organisation_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_id TEXT NOT NULL,
    details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_log_organisation ON audit_log (organisation_id, id);
CREATE INDEX audit_log_object ON audit_log (organisation_id, object_type, object_id, id);
