package sqlqueue

import (
	"embed"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// queries is every statement of the package, with the prefix in place and
// placeholders of the dialect, and what else the dialects do differently.
type queries struct {
	fanOut, direct string // with %rows% and %topic% to fill in

	addQueue, findQueue               string
	dropQueues, orphans, dropMessages string
	dropTables                        []string

	claim, take     string // at least once, at most once
	ack, back       string // of a list of ids
	extend          string // of a list of ids
	redeliver, dead string
	next            string

	backlog string

	postgres

	// insertRows is how many messages one statement inserts. SQLite looks for
	// the name of each parameter among all of them, so that the cost of a
	// statement grows with their square: 512 rows cost a third more than 128.
	insertRows int
	// list is ids as one parameter.
	list func(ids []int64) any
	// rows is messages as parameters, and as the rows of a statement.
	rows func(uuids, metadata []string, payloads [][]byte) (args []any, rows string)
}

// postgres is what PostgreSQL alone needs. It is empty on SQLite.
type postgres struct {
	settings string // of a transaction that settles and claims
	look     string // see lookout
	// See housekeeper.
	lock, size, empty, vacuum, reindex string
}

// marks says that claims begin at a low-water mark, and tell where they got to.
func (q *queries) marks() bool { return q.look != "" }

func newQueries(db *database.DB, prefix string) queries {
	if db.Driver() == database.Postgres {
		return postgresQueries(prefix)
	}
	return sqliteQueries(db, prefix)
}

// names puts a prefix's tables, and the database's clock, into statements.
func names(prefix, now string) *strings.Replacer {
	return strings.NewReplacer("%now%", now, "%queues%", `"`+prefix+`queues"`, "%messages%", `"`+prefix+`queue_messages"`)
}

// The statements that are the same in both dialects.
const (
	addQueue   = `INSERT INTO %queues% (name, topic, handler, dead) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	findQueue  = `SELECT id FROM %queues% WHERE name = $1`
	dropQueues = `DELETE FROM %queues% WHERE handler = $1 RETURNING name`
	orphans    = `SELECT DISTINCT queue_id FROM %messages% WHERE queue_id NOT IN (SELECT id FROM %queues%)`
)

// dropTables are the tables that the migrations make, and goose's own.
func dropTables(prefix string) (statements []string) {
	for _, table := range []string{"queue_messages", "queues", "queue_schema_needs", "queue_schema"} {
		statements = append(statements, `DROP TABLE IF EXISTS "`+prefix+table+`"`)
	}
	return statements
}

// schema is the migrations of the dialect with the prefix in place.
func schema(db *database.DB, prefix string) database.Schema {
	return database.Schema{
		Files: migrations, Dir: "migrations/" + db.Driver(), Table: prefix + "queue_schema",
		Replace: strings.NewReplacer("PREFIX", prefix),
	}
}
