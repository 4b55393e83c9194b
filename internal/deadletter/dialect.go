package deadletter

import (
	"database/sql"
	"strconv"
	"strings"
	"time"

	"github.com/answerfeed/answerfeed/app/database"
)

// dialect is what the databases say differently.
type dialect struct {
	least, greatest string // of two values
	// lock ends a query whose rows are to be changed. SQLite has one writer,
	// who need not lock any.
	lock string
	// free ends one whose locked rows are somebody else's work.
	free string
	// indexed stands before the index that a table is to be read by. Nobody
	// counts what SQLite's tables hold, so it would guess, and guess wrong;
	// PostgreSQL's autovacuum counts, and it has no such words.
	indexed string
}

func dialectOf(db *database.DB) dialect {
	if db.Driver() == database.Postgres {
		return dialect{least: "least", greatest: "greatest", lock: " FOR UPDATE", free: " FOR UPDATE SKIP LOCKED"}
	}
	return dialect{least: "min", greatest: "max", indexed: " INDEXED BY "}
}

// list writes n placeholders, from number first on: $3, $4, $5.
func list(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("$" + strconv.Itoa(first+i))
	}
	return b.String()
}

// anys are values as arguments of a query.
func anys[T any](values []T) []any {
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	return args
}

// micros is a moment as the tables have it; NULL for the zero time.
func micros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func moment(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}
