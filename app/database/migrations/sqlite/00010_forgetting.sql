-- +goose Up
-- Up to when time has passed for what is forgotten by age: it never advances
-- by more than twice the time that a worker saw pass, whatever clocks say. At
-- first, the last moment of which something tells. Microseconds since 1970, UTC.
CREATE TABLE forgetting (
    id    INTEGER NOT NULL PRIMARY KEY, -- 1
    until INTEGER NOT NULL
);
INSERT INTO forgetting SELECT 1, min(CAST(unixepoch('subsec') * 1000000 AS INTEGER), COALESCE((SELECT max(at) FROM (
    SELECT max(handled_at) AS at FROM inbox
    UNION ALL SELECT max(requeued_at) FROM dead_letters WHERE requeued_at IS NOT NULL
    UNION ALL SELECT max(discarded_at) FROM dead_letters WHERE discarded_at IS NOT NULL) AS known), CAST(unixepoch('subsec') * 1000000 AS INTEGER)));
