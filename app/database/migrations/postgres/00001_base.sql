-- +goose Up
-- The least level that a worker must know to run on this schema: raised by a
-- migration that older workers could not live with.
CREATE TABLE answerfeed_schema_needs (min_worker BIGINT NOT NULL);
INSERT INTO answerfeed_schema_needs VALUES (1);

-- Which handler has handled which message: see DB.Once.
CREATE TABLE inbox (
    handler    TEXT COLLATE "C" NOT NULL,
    topic      TEXT COLLATE "C" NOT NULL,
    identity   TEXT COLLATE "C" NOT NULL,
    handled_at BIGINT NOT NULL, -- microseconds since 1970, UTC
    PRIMARY KEY (handler, topic, identity)
);
CREATE INDEX inbox_handled_at ON inbox (handled_at);
