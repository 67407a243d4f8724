-- What runs waits for nothing that anybody looks for by this index, and changes with every step: it is left out, so that
-- a step writes no index of its row.
DROP INDEX executions_blocked;
CREATE INDEX executions_blocked ON executions (blocked_on)
    WHERE blocked_on IS NOT NULL AND (status <> 'running' OR substr(blocked_on, 1, 7) <> 'effect:');
