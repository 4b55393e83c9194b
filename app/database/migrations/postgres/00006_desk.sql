-- +goose Up
-- What the desk needs. A letter is dead, requeued or discarded; the two times
-- tell since when, in microseconds since 1970, UTC, and are NULL otherwise.
ALTER TABLE dead_letters ADD COLUMN requeued_at  BIGINT;
ALTER TABLE dead_letters ADD COLUMN discarded_at BIGINT;
-- What is sent in place of the payload, which stays as it was.
ALTER TABLE dead_letters ADD COLUMN repaired     BYTEA;

-- One index for each combination of filters. A fingerprint implies handler
-- and reason.
CREATE INDEX dead_letters_handler              ON dead_letters (state, handler, last_failed_at, id);
CREATE INDEX dead_letters_topic                ON dead_letters (state, topic, last_failed_at, id);
CREATE INDEX dead_letters_reason               ON dead_letters (state, reason, last_failed_at, id);
CREATE INDEX dead_letters_handler_topic        ON dead_letters (state, handler, topic, last_failed_at, id);
CREATE INDEX dead_letters_handler_reason       ON dead_letters (state, handler, reason, last_failed_at, id);
CREATE INDEX dead_letters_topic_reason         ON dead_letters (state, topic, reason, last_failed_at, id);
CREATE INDEX dead_letters_handler_topic_reason ON dead_letters (state, handler, topic, reason, last_failed_at, id);
CREATE INDEX dead_letters_fingerprint          ON dead_letters (state, fingerprint, last_failed_at, id);
CREATE INDEX dead_letters_fingerprint_topic    ON dead_letters (state, fingerprint, topic, last_failed_at, id);
-- What is to be forgotten.
CREATE INDEX dead_letters_requeued             ON dead_letters (requeued_at)  WHERE requeued_at IS NOT NULL;
CREATE INDEX dead_letters_discarded            ON dead_letters (discarded_at) WHERE discarded_at IS NOT NULL;

CREATE INDEX dead_letter_groups_largest ON dead_letter_groups (letters, fingerprint, topic);

-- Who did what at the desk. One row an act.
CREATE TABLE dead_letter_audit (
    id        BIGINT NOT NULL PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at        BIGINT NOT NULL,
    ended_at  BIGINT,          -- NULL: under way, or cut short
    who       TEXT COLLATE "C" NOT NULL,
    action    TEXT COLLATE "C" NOT NULL, -- requeue, discard, restore, export
    selection TEXT COLLATE "C" NOT NULL, -- which letters were meant
    letters   BIGINT NOT NULL  -- how many it was done to
);

-- When somebody was told of a problem's first letter, and of the last spike of
-- letters; NULL: not yet. Old problems are not news.
ALTER TABLE dead_letter_groups ADD COLUMN told_at       BIGINT;
ALTER TABLE dead_letter_groups ADD COLUMN told_spike_at BIGINT;
UPDATE dead_letter_groups SET told_at = last_failed_at;

-- Which worker tells, and until when. One row.
CREATE TABLE dead_letter_teller (
    id     INTEGER NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C" NOT NULL,
    until  BIGINT NOT NULL
);
INSERT INTO dead_letter_teller VALUES (1, '', 0);
