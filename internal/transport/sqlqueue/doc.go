// Package sqlqueue is the transport on a SQL database, SQLite or PostgreSQL:
// one table, a row for each message and queue.
//
// Publishing is one statement, however many handlers listen, through
// watermill-sql's Publisher over the [Schema] of this package. Consuming is
// not watermill-sql's: its subscriber has one message at a time in flight and
// sorts the whole backlog for each. Here a [consumer] claims messages in
// batches by lease, and acknowledges them in batches.
//
// What differs between the databases: a SQLite file tells its readers that it
// was written to, and has one writer. On PostgreSQL a [lookout] asks for all
// consumers together; claims pass over rows that another is claiming, and
// begin at a [mark] below which nothing is left; a [housekeeper] gives back
// the room of a backlog that is gone.
//
// The one thing to know: a claim has a token, and acknowledging, extending or
// moving a message must show it. A worker that was away longer than its lease
// can therefore do nothing to a message that another has by now.
package sqlqueue
