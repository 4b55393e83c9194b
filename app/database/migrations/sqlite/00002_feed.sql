-- +goose Up
-- The feed's read model. Times are microseconds since 1970, UTC; texts
-- compare bytewise (BINARY); an absent text is ''. The version tells which
-- event the fields are of: the latest by occurred_at, and at a tie the one
-- whose payload has the larger SHA-256.

-- A question; while asked_at is NULL a hidden stub, known from its answers.
CREATE TABLE questions (
    question_id       TEXT    NOT NULL PRIMARY KEY,
    asked_at          INTEGER,                      -- earliest occurred_at
    version_at        INTEGER,
    version_digest    BLOB,
    subject           TEXT    NOT NULL DEFAULT '',
    grade             TEXT    NOT NULL DEFAULT '',
    author_id         TEXT    NOT NULL DEFAULT '',
    -- Of the live answers:
    answered          BOOLEAN NOT NULL DEFAULT FALSE,
    answer_count      INTEGER NOT NULL DEFAULT 0,
    first_answered_at INTEGER,
    first_answer_id   TEXT    NOT NULL DEFAULT '',
    last_answer_at    INTEGER,
    -- Last, since they are long:
    title             TEXT    NOT NULL DEFAULT '',
    excerpt           TEXT    NOT NULL DEFAULT '',
    CHECK (answered = (answer_count > 0))
);
-- One index for each combination of filters. Without a filter on answered
-- the two halves of an index are merged.
CREATE INDEX questions_newest                  ON questions (answered, asked_at, question_id)                 WHERE asked_at IS NOT NULL;
CREATE INDEX questions_newest_in_subject       ON questions (subject, answered, asked_at, question_id)        WHERE asked_at IS NOT NULL;
CREATE INDEX questions_newest_in_grade         ON questions (grade, answered, asked_at, question_id)          WHERE asked_at IS NOT NULL;
CREATE INDEX questions_newest_in_subject_grade ON questions (subject, grade, answered, asked_at, question_id) WHERE asked_at IS NOT NULL;

-- An answer; once removed, a tombstone that holds nothing but its key. The key
-- begins with answer_id, since producers number answers as they come: new ones
-- share a page. Measured, that is a fifth to a third less to write than when it
-- begins with the question's.
CREATE TABLE answers (
    question_id    TEXT    NOT NULL,
    answer_id      TEXT    NOT NULL,
    removed        BOOLEAN NOT NULL,
    answered_at    INTEGER,                         -- earliest occurred_at
    version_at     INTEGER,
    version_digest BLOB,
    author_id      TEXT    NOT NULL DEFAULT '',
    excerpt        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (answer_id, question_id),
    CHECK (removed = (answered_at IS NULL))
);
CREATE INDEX answers_live ON answers (question_id, answered_at, answer_id) WHERE NOT removed;

-- Counts of visible questions. No row for a subject without any.
CREATE TABLE subjects (
    subject    TEXT    NOT NULL PRIMARY KEY,
    questions  INTEGER NOT NULL,
    unanswered INTEGER NOT NULL
) WITHOUT ROWID;
