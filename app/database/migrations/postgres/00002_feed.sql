-- +goose Up
-- The feed's read model. Times are microseconds since 1970, UTC; texts
-- compare bytewise (COLLATE "C"); an absent text is ''. The version tells
-- which event the fields are of: the latest by occurred_at, and at a tie the
-- one whose payload has the larger SHA-256.

-- A question; while asked_at is NULL a hidden stub, known from its answers.
-- Most updates change the tally alone, which is in no index: with room left on
-- the page (fillfactor) they are HOT, and the page itself is tidied up by the
-- next one that comes by, without a vacuum.
CREATE TABLE questions (
    question_id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    asked_at          BIGINT,                       -- earliest occurred_at
    version_at        BIGINT,
    version_digest    BYTEA,
    subject           TEXT COLLATE "C" NOT NULL DEFAULT '',
    grade             TEXT COLLATE "C" NOT NULL DEFAULT '',
    author_id         TEXT COLLATE "C" NOT NULL DEFAULT '',
    -- Of the live answers:
    answered          BOOLEAN NOT NULL DEFAULT FALSE,
    answer_count      BIGINT  NOT NULL DEFAULT 0,
    first_answered_at BIGINT,
    first_answer_id   TEXT COLLATE "C" NOT NULL DEFAULT '',
    last_answer_at    BIGINT,
    -- Last, since they are long:
    title             TEXT COLLATE "C" NOT NULL DEFAULT '',
    excerpt           TEXT COLLATE "C" NOT NULL DEFAULT '',
    CHECK (answered = (answer_count > 0))
) WITH (fillfactor = 80);
-- One index for each combination of filters. Without a filter on answered
-- the two halves of an index are merged.
CREATE INDEX questions_newest                  ON questions (answered, asked_at, question_id)                 WHERE asked_at IS NOT NULL;
CREATE INDEX questions_newest_in_subject       ON questions (subject, answered, asked_at, question_id)        WHERE asked_at IS NOT NULL;
CREATE INDEX questions_newest_in_grade         ON questions (grade, answered, asked_at, question_id)          WHERE asked_at IS NOT NULL;
CREATE INDEX questions_newest_in_subject_grade ON questions (subject, grade, answered, asked_at, question_id) WHERE asked_at IS NOT NULL;

-- An answer; once removed, a tombstone that holds nothing but its key. The key
-- begins with answer_id, since producers number answers as they come: new ones
-- share a page.
CREATE TABLE answers (
    question_id    TEXT COLLATE "C" NOT NULL,
    answer_id      TEXT COLLATE "C" NOT NULL,
    removed        BOOLEAN NOT NULL,
    answered_at    BIGINT,                          -- earliest occurred_at
    version_at     BIGINT,
    version_digest BYTEA,
    author_id      TEXT COLLATE "C" NOT NULL DEFAULT '',
    excerpt        TEXT COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (answer_id, question_id),
    CHECK (removed = (answered_at IS NULL))
);
CREATE INDEX answers_live ON answers (question_id, answered_at, answer_id) WHERE NOT removed;

-- Counts of visible questions. No row for a subject without any. Few rows,
-- each changed by nearly every batch: half the page is room for HOT updates.
CREATE TABLE subjects (
    subject    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    questions  BIGINT NOT NULL,
    unanswered BIGINT NOT NULL
) WITH (fillfactor = 50);
