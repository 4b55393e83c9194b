-- +goose Up
-- SQLite learns here to refuse a topic with a NUL. A text of PostgreSQL cannot hold one; the number is taken so that levels stay alike.
SELECT 1;
