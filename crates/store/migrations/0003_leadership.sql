-- Who may write: every commit carries the lease of its holder, and an older one is refused.
CREATE TABLE leadership (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    lease INTEGER NOT NULL, -- rises each time somebody takes the lead
    holder TEXT NOT NULL,
    since INTEGER NOT NULL -- milliseconds
) STRICT;
