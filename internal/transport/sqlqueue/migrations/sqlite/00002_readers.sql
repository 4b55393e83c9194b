-- +goose Up
-- Which process reads which queue, and until when that holds: each says so
-- again every few seconds.
CREATE TABLE "PREFIXqueue_readers" (
    reader TEXT    NOT NULL,
    queue  TEXT    NOT NULL,            -- its name
    until  INTEGER NOT NULL,
    PRIMARY KEY (reader, queue)
) STRICT, WITHOUT ROWID;

-- The queues' time, of which all their times are, is the database's clock and
-- this shift. It never goes back: when the clock does, the shift makes up for
-- it, by the last time that a reader saw.
CREATE TABLE "PREFIXqueue_clock" (
    id    INTEGER PRIMARY KEY,          -- 1
    shift INTEGER NOT NULL
) STRICT;
INSERT INTO "PREFIXqueue_clock" VALUES (1, 0);
CREATE TABLE "PREFIXqueue_seen" (
    id INTEGER PRIMARY KEY,             -- 1
    at INTEGER NOT NULL
) STRICT;
