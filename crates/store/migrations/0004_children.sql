-- Executions that another one runs: its id, to list what it runs. None for those that nobody runs.
ALTER TABLE executions ADD COLUMN parent TEXT;
CREATE INDEX executions_by_parent ON executions (tenant, parent, key) WHERE parent IS NOT NULL;
