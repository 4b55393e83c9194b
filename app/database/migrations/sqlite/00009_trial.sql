-- +goose Up
-- What a worker writes while the database takes no writes, to learn when it
-- does again: one row, replaced each time.
CREATE TABLE write_trial (
    id     INTEGER PRIMARY KEY,
    filler BLOB    NOT NULL
);
