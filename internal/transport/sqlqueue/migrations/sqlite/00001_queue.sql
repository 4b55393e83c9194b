-- +goose Up
-- "PREFIX" is replaced by the configured prefix.
CREATE TABLE "PREFIXqueue_schema_needs" (min_worker INTEGER NOT NULL);
INSERT INTO "PREFIXqueue_schema_needs" VALUES (1);

-- AUTOINCREMENT: an id never comes twice, here so that what a queue left
-- behind never reaches a new one, below so that an old claim never fits a new
-- row. STRICT: what other programs write cannot be of a type that the worker
-- cannot read.
CREATE TABLE "PREFIXqueues" (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    name    TEXT NOT NULL UNIQUE,       -- answer-added.feed, answer-added.feed.dead
    topic   TEXT NOT NULL,
    handler TEXT NOT NULL,
    dead    INTEGER NOT NULL            -- 1: rests here what waits for the desk
) STRICT;
CREATE INDEX "PREFIXqueues_topic" ON "PREFIXqueues" (topic);

-- A row a message and queue. Times are microseconds since 1970, UTC, by the
-- database's clock. A message may be claimed from due_at on: when it was
-- published, when its delay ends, or when the lease of its claim ends.
CREATE TABLE "PREFIXqueue_messages" (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    queue_id    INTEGER NOT NULL,       -- NULL is refused: nobody listens
    due_at      INTEGER NOT NULL,
    token       INTEGER NOT NULL DEFAULT 0, -- of the claim; 0 = not claimed
    deliveries  INTEGER NOT NULL DEFAULT 0,
    enqueued_at INTEGER NOT NULL,
    uuid        TEXT NOT NULL,
    metadata    TEXT NOT NULL,          -- a JSON object of strings
    payload     ANY NOT NULL            -- bytes; other programs may write text
) STRICT;
CREATE INDEX "PREFIXqueue_messages_due" ON "PREFIXqueue_messages" (queue_id, due_at);
