-- The newest state of a long execution, so that its history need not be replayed from the beginning. A cache: deleting
-- rows loses nothing. Replaced each time, so that it is no larger than the executions that run.
CREATE TABLE snapshots (
    execution INTEGER PRIMARY KEY REFERENCES executions (key),
    version INTEGER NOT NULL, -- number of events that it stands for
    bytes BLOB NOT NULL
) STRICT;
