-- +goose Up
-- Events that were stored together with what they tell of, on their way to the
-- transport: see the relay. Times are microseconds since 1970, UTC. A producer
-- writes the first columns, or uses the view below; the rest is the relay's.
-- Producers bring a SQLite of their own, so what runs when they write is known
-- to any since 3.38: no octet_length, no 'subsec'.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- never one that was in use before
    topic         TEXT    NOT NULL CHECK (length(topic) BETWEEN 1 AND 60 AND topic NOT GLOB '*[^a-z0-9-]*'),
    -- Given when the row is written: what is sent twice is the same message.
    uuid          TEXT    NOT NULL DEFAULT (lower(hex(randomblob(16)))) CHECK (length(CAST(uuid AS BLOB)) BETWEEN 1 AND 128),
    metadata      TEXT    NOT NULL DEFAULT '{}',     -- a JSON object of strings
    payload       BLOB    NOT NULL CHECK (length(CAST(payload AS BLOB)) <= 1048576),
    created_at    INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) * 1000),
    -- Of the relay that has it; the claim ends by itself.
    claimed_until INTEGER NOT NULL DEFAULT 0,
    token         INTEGER NOT NULL DEFAULT 0,
    -- Of what could not be sent.
    tries         INTEGER NOT NULL DEFAULT 0,
    retry_at      INTEGER NOT NULL DEFAULT 0,
    last_error    TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX outbox_again ON outbox (retry_at, id) WHERE tries > 0;

-- For producers in any language: INSERT INTO answerfeed_publish (topic, data)
-- VALUES ('answer-added', '{…}'), and metadata where there is some.
CREATE VIEW answerfeed_publish (topic, data, metadata) AS SELECT topic, CAST(payload AS TEXT), metadata FROM outbox;

CREATE TRIGGER answerfeed_publish_insert INSTEAD OF INSERT ON answerfeed_publish
BEGIN
    SELECT CASE
        WHEN typeof(NEW.topic) <> 'text' OR length(NEW.topic) NOT BETWEEN 1 AND 60 OR NEW.topic GLOB '*[^a-z0-9-]*'
            THEN RAISE(ABORT, 'answerfeed_publish: topic must be 1 to 60 of a-z, 0-9 and -')
        WHEN NEW.data IS NULL OR typeof(NEW.data) <> 'text' OR instr(NEW.data, char(0)) OR NOT json_valid(NEW.data)
            THEN RAISE(ABORT, 'answerfeed_publish: data must be JSON text')
        WHEN json_type(NEW.data) <> 'object'
            THEN RAISE(ABORT, 'answerfeed_publish: data must be a JSON object')
        WHEN length(CAST(NEW.data AS BLOB)) > 1048576
            THEN RAISE(ABORT, 'answerfeed_publish: data is larger than 1048576 bytes')
        WHEN NEW.metadata IS NULL
            THEN NULL
        WHEN typeof(NEW.metadata) <> 'text' OR instr(NEW.metadata, char(0)) OR NOT json_valid(NEW.metadata)
            THEN RAISE(ABORT, 'answerfeed_publish: metadata must be JSON text')
        WHEN json_type(NEW.metadata) <> 'object' OR EXISTS (SELECT 1 FROM json_each(NEW.metadata) WHERE type <> 'text')
            THEN RAISE(ABORT, 'answerfeed_publish: metadata must be a JSON object of strings')
        WHEN EXISTS (SELECT 1 FROM json_each(NEW.metadata) WHERE length(CAST(key AS BLOB)) NOT BETWEEN 1 AND 128)
            THEN RAISE(ABORT, 'answerfeed_publish: a metadata key must have 1 to 128 bytes')
        WHEN (SELECT sum(length(CAST(key AS BLOB)) + length(CAST(value AS BLOB))) FROM json_each(NEW.metadata)) > 32768
            THEN RAISE(ABORT, 'answerfeed_publish: metadata is larger than 32768 bytes')
    END;
    INSERT INTO outbox (topic, metadata, payload)
    VALUES (NEW.topic, coalesce(NEW.metadata, '{}'), CAST(NEW.data AS BLOB));
END;
