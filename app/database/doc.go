// Package database opens the database of the read models, dead letters and
// inbox, migrates it, and commits many callers' work together.
//
// The one thing to know: all writing goes through [DB.Update], or through a
// [Batcher] on top of it. On SQLite there is one writer for a file in each
// process, the SQL transport included, so a process never waits for its own
// lock, and commits of one file keep their order in its log. On PostgreSQL
// several transactions run at once, here and in other processes: one that is
// given up for another's sake ([Retryable]) is tried again by its caller.
package database
