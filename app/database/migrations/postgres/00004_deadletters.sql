-- +goose Up
-- Letters: messages that failed for good, kept whole for a person's desk.
-- Times are microseconds since 1970, UTC.
CREATE TABLE dead_letters (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY, -- of handler, topic, identity, requeues
    handler         TEXT COLLATE "C" NOT NULL,
    topic           TEXT COLLATE "C" NOT NULL,
    identity        TEXT COLLATE "C" NOT NULL,
    requeues        BIGINT           NOT NULL,
    state           TEXT COLLATE "C" NOT NULL,             -- dead
    reason          TEXT COLLATE "C" NOT NULL,
    fingerprint     TEXT COLLATE "C" NOT NULL,             -- the same for the same problem
    correlation_id  TEXT COLLATE "C" NOT NULL,
    attempts        BIGINT           NOT NULL,
    redeliveries    BIGINT           NOT NULL,
    first_failed_at BIGINT           NOT NULL,
    last_failed_at  BIGINT           NOT NULL,
    error           TEXT COLLATE "C" NOT NULL,
    uuid            TEXT COLLATE "C" NOT NULL,
    metadata        TEXT COLLATE "C" NOT NULL,             -- a JSON object of strings
    payload         BYTEA            NOT NULL              -- byte for byte
);
CREATE INDEX dead_letters_newest ON dead_letters (state, last_failed_at, id);

-- Kept counts, so that no desk has to count letters.
CREATE TABLE dead_letter_groups (
    fingerprint     TEXT COLLATE "C" NOT NULL,
    handler         TEXT COLLATE "C" NOT NULL,
    topic           TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C" NOT NULL,
    error           TEXT COLLATE "C" NOT NULL,             -- of the first letter
    letters         BIGINT           NOT NULL,             -- in state dead
    first_failed_at BIGINT           NOT NULL,
    last_failed_at  BIGINT           NOT NULL,
    PRIMARY KEY (fingerprint, topic)
);
