-- Orders of calls: how they are placed, when, and how far they are. Settings that no query asks for
-- are JSON.
CREATE TABLE call_orders (
    id BYTEA NOT NULL PRIMARY KEY,
    organisation_id BYTEA NOT NULL REFERENCES organisations (id),
    name TEXT,
    state TEXT NOT NULL,
    call TEXT NOT NULL,
    rules TEXT NOT NULL,
    begins_at BIGINT NOT NULL,
    expires_at BIGINT,
    served_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX call_orders_organisation ON call_orders (organisation_id, id);
CREATE INDEX call_orders_open ON call_orders (served_at, id) WHERE ended_at IS NULL;

-- Whom they call.
CREATE TABLE call_recipients (
    id BYTEA NOT NULL PRIMARY KEY,
    order_id BYTEA NOT NULL REFERENCES call_orders (id),
    organisation_id BYTEA NOT NULL,
    to_number TEXT NOT NULL,
    time_zone TEXT,
    variables TEXT NOT NULL,
    state TEXT NOT NULL,
    outcome TEXT,
    reason TEXT,
    tries BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX call_recipients_order ON call_recipients (order_id, id);
CREATE INDEX call_recipients_due ON call_recipients (order_id, state, due_at, id);

-- Calls that were placed for them, written down before they are: so that none is placed twice.
CREATE TABLE call_tries (
    call_id BYTEA NOT NULL PRIMARY KEY,
    order_id BYTEA NOT NULL REFERENCES call_orders (id),
    recipient_id BYTEA NOT NULL REFERENCES call_recipients (id),
    organisation_id BYTEA NOT NULL,
    number BIGINT NOT NULL,
    placed_at BIGINT NOT NULL,
    outcome TEXT,
    cause TEXT,
    ended_at BIGINT
);
CREATE INDEX call_tries_order ON call_tries (order_id, placed_at);
CREATE INDEX call_tries_recipient ON call_tries (recipient_id, number);
CREATE INDEX call_tries_open ON call_tries (placed_at, call_id) WHERE ended_at IS NULL;
