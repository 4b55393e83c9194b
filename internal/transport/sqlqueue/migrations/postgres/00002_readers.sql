-- +goose Up
-- Which process reads which queue, and until when that holds: each says so
-- again every few seconds.
CREATE TABLE "PREFIXqueue_readers" (
    reader TEXT COLLATE "C" NOT NULL,
    queue  TEXT COLLATE "C" NOT NULL,   -- its name
    until  BIGINT NOT NULL,
    CONSTRAINT "PREFIXqueue_readers_key" PRIMARY KEY (reader, queue)
);

-- The queues' time, of which all their times are, is the database's clock and
-- this shift. It never goes back: when the clock does, the shift makes up for
-- it, by the last time that a reader saw.
CREATE TABLE "PREFIXqueue_clock" (
    id    INTEGER NOT NULL CONSTRAINT "PREFIXqueue_clock_id" PRIMARY KEY, -- 1
    shift BIGINT  NOT NULL
);
INSERT INTO "PREFIXqueue_clock" VALUES (1, 0);
CREATE TABLE "PREFIXqueue_seen" (
    id INTEGER NOT NULL CONSTRAINT "PREFIXqueue_seen_id" PRIMARY KEY, -- 1
    at BIGINT  NOT NULL
);
