-- The first shape of the database. Keys grow from one side, so that pages fill in order.

-- Tenants by a small number, for the tables that grow with every step.
CREATE TABLE tenants (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

-- One row for each execution: what lists show, how long its history is, and when it wants to be woken.
CREATE TABLE executions (
    key INTEGER PRIMARY KEY, -- order of creation
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    id TEXT NOT NULL,
    events INTEGER NOT NULL, -- number of events in its history
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    outcome TEXT,
    blocked_on TEXT,
    requester TEXT NOT NULL,
    intent TEXT,
    error TEXT,
    started_at INTEGER NOT NULL, -- all times in milliseconds since 1970, UTC
    updated_at INTEGER NOT NULL,
    ended_at INTEGER,
    due_at INTEGER
) STRICT;
CREATE UNIQUE INDEX executions_by_id ON executions (tenant, id);
CREATE INDEX executions_by_status ON executions (tenant, status, key);
CREATE INDEX executions_by_tenant ON executions (tenant, key);
CREATE INDEX executions_due ON executions (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX executions_unfinished ON executions (key) WHERE status IN ('pending', 'running');
CREATE INDEX executions_blocked ON executions (blocked_on) WHERE blocked_on IS NOT NULL;

-- One row for each commit of an execution: its new events, encoded as one blob (see `codec.rs`). Rows lie in the order
-- of commits, so that the payload goes to the right edge; the index finds one execution's.
CREATE TABLE history (
    key INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL REFERENCES executions (key),
    first INTEGER NOT NULL, -- number of events before these
    events BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX history_by_execution ON history (execution, first);

CREATE TABLE approvals (
    key INTEGER PRIMARY KEY, -- order of creation
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    execution TEXT NOT NULL,
    status TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX approvals_by_tenant ON approvals (tenant, key);
CREATE INDEX approvals_by_status ON approvals (tenant, status, key);
CREATE INDEX approvals_by_execution ON approvals (tenant, execution, key);

-- Workflows, actions, policies, controls and whatever else is looked up by name.
CREATE TABLE documents (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL, -- time-ordered
    open INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letters_open ON dead_letters (tenant, id) WHERE open = 1;

-- Answers to requests with an idempotency key; the writer forgets those that have run out.
CREATE TABLE answers (
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX answers_by_expiry ON answers (expires_at);

-- Tokens hold a hash, never the token.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    tenant TEXT NOT NULL,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Sealed with the key in `keys/`.
CREATE TABLE secrets (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

-- The audit log. Nothing that can be read from the bytes is stored beside them but two small numbers to search by:
-- the tenant, and 63 bits of the correlation (the leading ones when it is a time-ordered id).
CREATE TABLE leaves (
    sequence INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL REFERENCES tenants (key),
    correlation INTEGER NOT NULL,
    hash BLOB NOT NULL, -- before the bytes, so that proofs never follow overflow pages
    bytes BLOB NOT NULL
) STRICT;
CREATE INDEX leaves_by_tenant ON leaves (tenant, sequence);
CREATE INDEX leaves_by_correlation ON leaves (correlation, sequence);
CREATE TRIGGER leaves_stay BEFORE UPDATE ON leaves BEGIN SELECT raise(ABORT, 'audit leaves are never changed'); END;
CREATE TRIGGER leaves_remain BEFORE DELETE ON leaves BEGIN SELECT raise(ABORT, 'audit leaves are never deleted'); END;

-- Inner nodes of the Merkle tree, of every eighth level only: any other is at most 256 hashes away, and the table
-- stays 256 times smaller than the leaves.
CREATE TABLE nodes (
    level INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- One signed head for each transaction that added leaves.
CREATE TABLE heads (
    size INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    at INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE TRIGGER heads_stay BEFORE UPDATE ON heads BEGIN SELECT raise(ABORT, 'tree heads are never changed'); END;
CREATE TRIGGER heads_remain BEFORE DELETE ON heads BEGIN SELECT raise(ABORT, 'tree heads are never deleted'); END;

-- One row that a health check writes, to know that writing works.
CREATE TABLE pulse (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
