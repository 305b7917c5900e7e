-- Everything that is kept. The same tables, columns and keys as for SQLite; a test compares them.
-- Times are microseconds since 1970, identifiers the 16 bytes of a UUID (version 7), sealed columns
-- hold what only the sealing keys open. Rows of `origin` 'file' come from the configuration file.

-- What the store knows of itself.
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);

-- Counts the changes that a running server must see.
CREATE TABLE revisions (
    name TEXT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO revisions (name, revision) VALUES ('directory', 1);

CREATE TABLE organisations (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    max_calls BIGINT,
    calls_per_second BIGINT,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX organisations_name ON organisations (name) WHERE deleted_at IS NULL;

CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE UNIQUE INDEX api_keys_sha256 ON api_keys (sha256);
CREATE INDEX api_keys_organisation ON api_keys (organisation_id, created_at, id);

-- One set of credentials of one provider. The token is part of the URLs that carriers call: shown
-- again, so sealed, and found by its hash. The account finds the tenant of a call; it may be
-- secret, so its hash is kept.
CREATE TABLE configurations (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    provider TEXT NOT NULL,
    account_sha256 BYTEA,
    settings TEXT NOT NULL,
    credentials BYTEA,
    token BYTEA NOT NULL,
    token_sha256 BYTEA NOT NULL,
    is_default_outbound BOOLEAN NOT NULL,
    inactive_since BIGINT,
    inactive_reason TEXT,
    max_calls BIGINT,
    calls_per_second BIGINT,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX configurations_name ON configurations (organisation_id, name)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX configurations_default ON configurations (organisation_id)
    WHERE is_default_outbound AND deleted_at IS NULL;
CREATE UNIQUE INDEX configurations_token ON configurations (token_sha256);

CREATE TABLE trunks (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    configuration_id BYTEA REFERENCES configurations (id),
    name TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    settings TEXT NOT NULL,
    credentials BYTEA,
    external_id TEXT,
    max_calls BIGINT,
    calls_per_second BIGINT,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX trunks_name ON trunks (configuration_id, name)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX trunks_name_alone ON trunks (organisation_id, name)
    WHERE configuration_id IS NULL AND deleted_at IS NULL;

-- Settings are sealed too: URLs of agents may hold tokens.
CREATE TABLE agents (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    settings BYTEA NOT NULL,
    secret BYTEA,
    max_calls BIGINT,
    calls_per_second BIGINT,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX agents_name ON agents (organisation_id, name) WHERE deleted_at IS NULL;

-- Provider and account are those of the configuration: what a carrier tells of a call leads to one
-- number, whatever organisation it belongs to.
CREATE TABLE numbers (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    configuration_id BYTEA NOT NULL REFERENCES configurations (id),
    trunk_id BYTEA REFERENCES trunks (id),
    agent_id BYTEA REFERENCES agents (id),
    provider TEXT NOT NULL,
    account_sha256 BYTEA,
    address TEXT NOT NULL,
    address_normalised TEXT NOT NULL,
    address_type TEXT NOT NULL,
    country TEXT,
    label TEXT,
    is_active BOOLEAN NOT NULL,
    is_default_caller_id BOOLEAN NOT NULL,
    metadata TEXT NOT NULL,
    max_calls BIGINT,
    calls_per_second BIGINT,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE UNIQUE INDEX numbers_routing_key ON numbers (provider, account_sha256, address_normalised)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX numbers_address ON numbers (configuration_id, address_normalised)
    WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX numbers_default ON numbers (configuration_id)
    WHERE is_default_caller_id AND deleted_at IS NULL;
CREATE INDEX numbers_organisation ON numbers (organisation_id, id);

-- Which agent takes a call: the conditions that a column cannot express are JSON.
CREATE TABLE routes (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    name TEXT,
    priority BIGINT NOT NULL,
    pattern TEXT NOT NULL,
    configuration_id BYTEA REFERENCES configurations (id),
    trunk_id BYTEA REFERENCES trunks (id),
    number_id BYTEA REFERENCES numbers (id),
    agent_id BYTEA REFERENCES agents (id),
    conditions TEXT NOT NULL,
    settings TEXT NOT NULL,
    enabled BOOLEAN NOT NULL,
    origin TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX routes_organisation ON routes (organisation_id, priority, id);

-- A call as its events add up to it. It refers to what it used by identifier and by the name of
-- that time, as what it used may be gone.
CREATE TABLE calls (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    node_id BYTEA,
    direction TEXT NOT NULL,
    state TEXT NOT NULL,
    from_number TEXT NOT NULL,
    to_number TEXT NOT NULL,
    agent_id BYTEA,
    agent TEXT,
    trunk_id BYTEA,
    trunk TEXT,
    configuration_id BYTEA,
    number_id BYTEA,
    provider TEXT,
    carrier_call_id TEXT,
    parent_id BYTEA,
    cause TEXT,
    ended_by TEXT,
    sip_code BIGINT,
    q850 BIGINT,
    reason TEXT,
    created_at BIGINT NOT NULL,
    queued_at BIGINT,
    ringing_at BIGINT,
    answered_at BIGINT,
    ended_at BIGINT,
    updated_at BIGINT NOT NULL,
    duration_ms BIGINT,
    billed_s BIGINT,
    cost_micros BIGINT,
    currency TEXT,
    quality TEXT,
    variables TEXT,
    summary TEXT,
    is_incomplete BOOLEAN NOT NULL
);
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
    id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    call_id BYTEA NOT NULL,
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX call_events_source ON call_events (call_id, source, source_id);
CREATE INDEX call_events_call ON call_events (call_id, id);
CREATE INDEX call_events_organisation ON call_events (organisation_id, id);

CREATE TABLE quality_samples (
    call_id BYTEA NOT NULL,
    leg TEXT NOT NULL,
    at BIGINT NOT NULL,
    organisation_id BYTEA NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (call_id, leg, at)
);

-- Signalling and agent messages of a call that is captured.
CREATE TABLE messages (
    call_id BYTEA NOT NULL,
    sequence BIGINT NOT NULL,
    organisation_id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    is_sent BOOLEAN NOT NULL,
    peer TEXT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (call_id, sequence)
);

CREATE TABLE transfers (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    call_id BYTEA NOT NULL,
    node_id BYTEA,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    destination TEXT NOT NULL,
    other_call_id BYTEA,
    options TEXT NOT NULL,
    cause TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX transfers_call ON transfers (call_id, id);
CREATE INDEX transfers_living ON transfers (node_id, id) WHERE ended_at IS NULL;

CREATE TABLE recordings (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    call_id BYTEA NOT NULL,
    node_id BYTEA,
    path TEXT NOT NULL,
    state TEXT NOT NULL,
    channels BIGINT NOT NULL,
    rate_hz BIGINT NOT NULL,
    size_bytes BIGINT,
    duration_ms BIGINT,
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    deleted_at BIGINT
);
CREATE INDEX recordings_call ON recordings (call_id, id);
CREATE INDEX recordings_organisation ON recordings (organisation_id, created_at, id);

-- Effects that follow from facts, each once: committed together with what causes it.
CREATE TABLE outbox (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    kind TEXT NOT NULL,
    effect_key TEXT NOT NULL,
    call_id BYTEA,
    payload TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed_by BYTEA,
    claimed_until BIGINT,
    done_at BIGINT
);
CREATE UNIQUE INDEX outbox_effect ON outbox (organisation_id, effect_key);
CREATE INDEX outbox_due ON outbox (due_at, id) WHERE done_at IS NULL;

CREATE TABLE subscriptions (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    url TEXT NOT NULL,
    events TEXT NOT NULL,
    secret BYTEA NOT NULL,
    description TEXT,
    enabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);
CREATE INDEX subscriptions_organisation ON subscriptions (organisation_id, id);

CREATE TABLE deliveries (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    subscription_id BYTEA NOT NULL REFERENCES subscriptions (id),
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    status_code BIGINT,
    error TEXT,
    created_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    claimed_by BYTEA,
    claimed_until BIGINT,
    ended_at BIGINT
);
CREATE UNIQUE INDEX deliveries_event ON deliveries (subscription_id, event_id);
CREATE INDEX deliveries_due ON deliveries (due_at, id) WHERE ended_at IS NULL;
CREATE INDEX deliveries_waiting ON deliveries (subscription_id, due_at, id)
    WHERE ended_at IS NULL;
CREATE INDEX deliveries_subscription ON deliveries (subscription_id, id);
CREATE INDEX deliveries_list ON deliveries (organisation_id, state, created_at, id);

-- Answers given to requests that may come again. Sealed, as an answer may hold a key.
CREATE TABLE idempotency_keys (
    organisation_id BYTEA NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_sha256 BYTEA NOT NULL,
    status BIGINT,
    answer BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (organisation_id, idempotency_key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

CREATE TABLE nodes (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    version TEXT NOT NULL,
    is_draining BOOLEAN NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    stopped_at BIGINT
);
CREATE INDEX nodes_heartbeat ON nodes (heartbeat_at) WHERE stopped_at IS NULL;

-- What one node at a time does. The token grows with each owner, so that a late one is told.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    node_id BYTEA NOT NULL,
    token BIGINT NOT NULL,
    acquired_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

CREATE TABLE audit_log (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object_type TEXT NOT NULL,
    object_id TEXT NOT NULL,
    details TEXT NOT NULL
);
CREATE INDEX audit_log_organisation ON audit_log (organisation_id, id);
CREATE INDEX audit_log_object ON audit_log (organisation_id, object_type, object_id, id);
