-- What is due, by tenant: timers are read a few of each tenant at a time, so that no tenant's millions hide another's one.
CREATE INDEX executions_due_by_tenant ON executions (tenant, due_at) WHERE due_at IS NOT NULL;
