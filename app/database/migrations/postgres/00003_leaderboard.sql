-- +goose Up
-- The leaderboard's read model. Texts compare bytewise (COLLATE "C").

-- Who wrote which answer; once removed, a tombstone that holds nothing but
-- its key, which begins with answer_id so that new ones share a page. The
-- version tells which answer-added named the author: the latest by occurred_at,
-- in microseconds since 1970, UTC, and at a tie the one whose payload has the
-- larger SHA-256.
CREATE TABLE leaderboard_answers (
    question_id    TEXT COLLATE "C" NOT NULL,
    answer_id      TEXT COLLATE "C" NOT NULL,
    removed        BOOLEAN NOT NULL,
    version_at     BIGINT,
    version_digest BYTEA,
    author_id      TEXT COLLATE "C" NOT NULL DEFAULT '', -- '': not told
    PRIMARY KEY (answer_id, question_id),
    CHECK (removed = (version_at IS NULL))
);

-- Live answers of each author. No row for an author without any.
CREATE TABLE leaderboard_authors (
    author_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    answers   BIGINT NOT NULL
);
CREATE INDEX leaderboard_top ON leaderboard_authors (answers DESC, author_id);
