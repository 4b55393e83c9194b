-- +goose Up
-- Letters: messages that failed for good, kept whole for a person's desk.
-- Times are microseconds since 1970, UTC.
CREATE TABLE dead_letters (
    id              TEXT    NOT NULL PRIMARY KEY, -- of handler, topic, identity, requeues
    handler         TEXT    NOT NULL,
    topic           TEXT    NOT NULL,
    identity        TEXT    NOT NULL,
    requeues        INTEGER NOT NULL,
    state           TEXT    NOT NULL,             -- dead
    reason          TEXT    NOT NULL,
    fingerprint     TEXT    NOT NULL,             -- the same for the same problem
    correlation_id  TEXT    NOT NULL,
    attempts        INTEGER NOT NULL,
    redeliveries    INTEGER NOT NULL,
    first_failed_at INTEGER NOT NULL,
    last_failed_at  INTEGER NOT NULL,
    error           TEXT    NOT NULL,
    uuid            TEXT    NOT NULL,
    metadata        TEXT    NOT NULL,             -- a JSON object of strings
    payload         BLOB    NOT NULL              -- byte for byte
) WITHOUT ROWID;
CREATE INDEX dead_letters_newest ON dead_letters (state, last_failed_at, id);

-- Kept counts, so that no desk has to count letters.
CREATE TABLE dead_letter_groups (
    fingerprint     TEXT    NOT NULL,
    handler         TEXT    NOT NULL,
    topic           TEXT    NOT NULL,
    reason          TEXT    NOT NULL,
    error           TEXT    NOT NULL,             -- of the first letter
    letters         INTEGER NOT NULL,             -- in state dead
    first_failed_at INTEGER NOT NULL,
    last_failed_at  INTEGER NOT NULL,
    PRIMARY KEY (fingerprint, topic)
) WITHOUT ROWID;
