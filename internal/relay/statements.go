package relay

import (
	"database/sql"
	"errors"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
)

// statements is every statement of the package, prepared in the database's
// dialect. All times are by the database's clock.
type statements struct {
	// look tells whether there is a fresh row with an id above $1, not of the
	// topics $2, and whether there is a row to be tried again.
	look *sql.Stmt
	// fresh and again claim at most $1 rows, with $2 bytes of payload (the
	// first one in any case), for $3 microseconds with the token $4; fresh
	// ones with an id above $5, not of the topics $6.
	fresh, again *sql.Stmt
	// Of the ids $1 with the token $2: delete; give back; put off for $3
	// microseconds because of $4.
	sent, back, putOff *sql.Stmt
	// wake makes what was put off of the topic $1 due.
	wake *sql.Stmt

	reading, writing *database.Statements
}

const (
	fresh = `tries = 0 AND claimed_until <= %now% AND id > `
	again = `tries > 0 AND claimed_until <= %now% AND retry_at <= %now%`
	ours  = ` WHERE id IN (SELECT %id% FROM %each%($1%json%)) AND token = $2`
)

func prepare(db *database.DB) (statements, error) {
	read, write := db.ToRead(), db.ToWrite()
	text := dialect(db.Driver())
	s := statements{
		look: read.One(text(`SELECT
			EXISTS (SELECT 1 FROM outbox WHERE ` + fresh + `$1 AND topic NOT IN (SELECT value FROM %each%($2%json%))),
			EXISTS (SELECT 1 FROM outbox WHERE ` + again + `)`)),
		fresh:  write.One(text(claim(fresh + `$5 AND topic NOT IN (SELECT value FROM %each%($6%json%)) ORDER BY id`))),
		again:  write.One(text(claim(again + ` ORDER BY retry_at, id`))),
		sent:   write.One(text(`DELETE FROM outbox` + ours)),
		back:   write.One(text(`UPDATE outbox SET claimed_until = 0, token = 0` + ours)),
		putOff: write.One(text(`UPDATE outbox SET claimed_until = 0, token = 0, tries = tries + 1, retry_at = %now% + $3, last_error = $4` + ours)),
		wake:   write.One(text(`UPDATE outbox SET retry_at = 0 WHERE id IN (SELECT id FROM outbox WHERE tries > 0 AND topic = $1%lock%)`)),

		reading: read, writing: write,
	}
	if err := errors.Join(read.Err(), write.Err()); err != nil {
		s.close()
		return statements{}, err
	}
	return s, nil
}

func (s *statements) prepared() bool { return s.reading != nil }

func (s *statements) close() {
	if s.prepared() {
		s.reading.Close()
		s.writing.Close()
	}
}

// claim is the statement that claims the rows of a condition with its order.
// They are looked for once; the sum over their sizes cuts them where they
// exceed the limit.
func claim(rows string) string {
	return `WITH next AS MATERIALIZED (SELECT id, octet_length(payload) AS size FROM outbox WHERE ` + rows + ` LIMIT $1%lock%)
		UPDATE outbox SET claimed_until = %now% + $3, token = $4 WHERE id IN (
			SELECT id FROM (SELECT id, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS ahead FROM next) AS fit WHERE ahead < $2)
		RETURNING id, tries, topic, uuid, metadata, payload`
}

// dialect fills in what the databases say differently: the clock, in
// microseconds since 1970; a parameter that is a JSON array; and how to pass
// over rows that another relay is claiming at this moment.
func dialect(driver string) func(string) string {
	if driver == database.Postgres {
		return strings.NewReplacer(
			"%now%", `(SELECT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint)`, // asked once a statement
			"%each%", "jsonb_array_elements_text", "%json%", "::jsonb", "%id%", "value::bigint",
			"%lock%", " FOR UPDATE SKIP LOCKED",
		).Replace
	}
	return strings.NewReplacer(
		"%now%", `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`,
		"%each%", "json_each", "%json%", "", "%id%", "value",
		"%lock%", "",
	).Replace
}
