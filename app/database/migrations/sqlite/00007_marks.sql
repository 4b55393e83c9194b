-- +goose Up
-- Marks left behind by attempts at messages that came back again and again:
-- written before, erased after. What is left tells of a process that died.
CREATE TABLE crash_marks (
    handler   TEXT    NOT NULL,
    topic     TEXT    NOT NULL,
    identity  TEXT    NOT NULL,
    requeues  INTEGER NOT NULL, -- a person's requeue is a new beginning
    marks     INTEGER NOT NULL,
    marked_at INTEGER NOT NULL, -- microseconds since 1970, UTC
    PRIMARY KEY (handler, topic, identity, requeues)
) WITHOUT ROWID;
