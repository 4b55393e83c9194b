-- +goose Up
-- The processes that run now: one row each, written once a second.
CREATE TABLE workers (
    id         TEXT COLLATE "C" PRIMARY KEY,
    host       TEXT   NOT NULL, -- for people
    machine    TEXT   NOT NULL, -- the running kernel and its space of process ids; '' where that cannot be told
    pid        BIGINT NOT NULL,
    birth      TEXT   NOT NULL, -- when the process began, by that kernel
    version    TEXT   NOT NULL,
    started_at BIGINT NOT NULL, -- microseconds since 1970, UTC
    seen_at    BIGINT NOT NULL, -- the same, by the clock of the database
    beats      BIGINT NOT NULL, -- another number at each sign of life
    runs       TEXT   NOT NULL, -- JSON: the queues that the process reads
    in_flight  TEXT   NOT NULL  -- JSON: how many messages of each it handles
);

-- What came back is handled in groups. A row stands while a process handles
-- the group, so a row whose process is gone tells what the process died of.
CREATE TABLE suspect_groups (
    id         TEXT COLLATE "C" PRIMARY KEY,
    queue      TEXT COLLATE "C" NOT NULL,
    lo         BIGINT  NOT NULL, -- the hashes of the members' identities, both ends included
    mid        BIGINT  NOT NULL, -- where the range is halved: the last hash of the lower half
    hi         BIGINT  NOT NULL,
    worker     TEXT COLLATE "C" NOT NULL, -- '' = waits for a process
    suspect    INTEGER NOT NULL, -- 1 = a process died of this range
    identity   TEXT COLLATE "C" NOT NULL, -- of a message that is handled alone, else ''
    requeues   INTEGER NOT NULL, -- of that message: a person's requeue is a new beginning
    deaths     INTEGER NOT NULL, -- while that message was alone
    changed_at BIGINT  NOT NULL  -- microseconds since 1970, UTC, by the clock of the database
);
CREATE INDEX suspect_groups_queue ON suspect_groups (queue);
CREATE INDEX suspect_groups_worker ON suspect_groups (worker);
