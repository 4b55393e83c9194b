-- +goose Up
-- Marks left behind by attempts at messages that came back again and again:
-- written before, erased after. What is left tells of a process that died.
CREATE TABLE crash_marks (
    handler   TEXT COLLATE "C" NOT NULL,
    topic     TEXT COLLATE "C" NOT NULL,
    identity  TEXT COLLATE "C" NOT NULL,
    requeues  INTEGER NOT NULL, -- a person's requeue is a new beginning
    marks     INTEGER NOT NULL,
    marked_at BIGINT NOT NULL,  -- microseconds since 1970, UTC
    PRIMARY KEY (handler, topic, identity, requeues)
);
