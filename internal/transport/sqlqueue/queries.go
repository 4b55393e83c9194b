package sqlqueue

import (
	"embed"
	"fmt"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/memory"
)

//go:embed migrations/*/*.sql
var migrations embed.FS

// queries is every statement of the package, with the prefix in place and
// placeholders of the dialect, and what else the dialects do differently.
type queries struct {
	fanOut, direct string // with %rows% and %topic% to fill in

	addQueue, findQueue        string
	queuesOf, retire           string // see Prune
	orphans, dropMessages      string
	dropRetired                string
	dropTables                 []string
	standing                   string // see registrar
	readopt, read, unread      string
	lockClock, shift, sawClock string
	times                      string
	readers                    string

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

// names puts a prefix's tables, and the queues' time, into statements: now is
// the database's clock. As a query of its own the time is asked once a
// statement, and may bound the scan of an index.
func names(prefix, now string) *strings.Replacer {
	clock := `"` + prefix + `queue_clock"`
	now = `(SELECT ` + now + ` + COALESCE((SELECT shift FROM ` + clock + ` WHERE id = 1), 0))`
	cost := fmt.Sprintf("(%d * octet_length(payload) + %d)", memory.Copies, memory.Overhead) // of memory
	return strings.NewReplacer("%now%", now, "%cost%", cost, "%queues%", `"`+prefix+`queues"`, "%messages%", `"`+prefix+`queue_messages"`,
		"%clock%", clock, "%seen%", `"`+prefix+`queue_seen"`, "%readers%", `"`+prefix+`queue_readers"`)
}

// The statements that are the same in both dialects.
const (
	addQueue  = `INSERT INTO %queues% (name, topic, handler, dead) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`
	findQueue = `SELECT id FROM %queues% WHERE name = $1`
	// thisQueue is looked up in each statement that claims: an id that was
	// kept might be another queue's, in tables that were made anew or restored.
	thisQueue = `(SELECT id FROM %queues% WHERE name = $1)`

	// A queue that is pruned has no topic, until its messages are gone.
	queuesOf    = `SELECT name FROM %queues% WHERE handler = $1`
	retire      = `UPDATE %queues% SET name = 'pruned.' || id, topic = '', handler = '', dead = 1 WHERE handler = $1`
	orphans     = `SELECT DISTINCT queue_id FROM %messages% WHERE queue_id NOT IN (SELECT id FROM %queues% WHERE topic <> '')`
	dropRetired = `DELETE FROM %queues% WHERE topic = '' AND NOT EXISTS (SELECT 1 FROM %messages% AS m WHERE m.queue_id = %queues%.id)`

	// The rest is the registrar's. readopt makes a queue again under the id
	// that its messages have.
	standing = `SELECT c.now, c.seen, q.name, q.id FROM (SELECT %now% AS now, COALESCE((SELECT at FROM %seen% WHERE id = 1), 0) AS seen) AS c
		LEFT JOIN %queues% AS q ON q.topic <> ''`
	readopt = `INSERT INTO %queues% (id, name, topic, handler, dead)%overriding%
		SELECT CAST($5 AS BIGINT), CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS INTEGER)
		WHERE EXISTS (SELECT 1 FROM %messages% WHERE queue_id = $5) AND NOT EXISTS (SELECT 1 FROM %queues% WHERE id = $5)
		ON CONFLICT DO NOTHING`
	read      = `INSERT INTO %readers% (reader, queue, until) VALUES ($1, $2, %now% + $3) ON CONFLICT (reader, queue) DO UPDATE SET until = excluded.until`
	unread    = `DELETE FROM %readers% WHERE reader = $1`
	lockClock = `SELECT shift FROM %clock% WHERE id = 1`
	times     = `SELECT %now%, COALESCE((SELECT at FROM %seen% WHERE id = 1), 0)`
	shift     = `INSERT INTO %clock% (id, shift) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET shift = %clock%.shift + excluded.shift`
	sawClock  = `INSERT INTO %seen% (id, at) VALUES (1, %now%) ON CONFLICT (id) DO UPDATE SET at = excluded.at WHERE excluded.at > %seen%.at`
	// Times that are too far ahead are those of a clock that went back.
	readers = `SELECT (SELECT count(DISTINCT r.reader) FROM %readers% AS r JOIN %queues% AS q ON q.name = r.queue
		WHERE q.handler = $1 AND r.until > %now% AND r.until <= %now% + $2)`
)

// dropTables are the tables that the migrations make, and goose's own.
func dropTables(prefix string) (statements []string) {
	for _, table := range []string{"queue_messages", "queues", "queue_readers", "queue_clock", "queue_seen", "queue_schema_needs", "queue_schema"} {
		statements = append(statements, `DROP TABLE IF EXISTS "`+prefix+table+`"`)
	}
	return statements
}

// same fills in the statements that are the same in both dialects.
func (q *queries) same(sql func(string) string) {
	q.addQueue, q.findQueue = sql(addQueue), sql(findQueue)
	q.queuesOf, q.retire, q.orphans, q.dropRetired = sql(queuesOf), sql(retire), sql(orphans), sql(dropRetired)
	q.standing, q.readopt, q.read, q.unread = sql(standing), sql(readopt), sql(read), sql(unread)
	q.lockClock, q.shift, q.sawClock, q.readers, q.times = sql(lockClock), sql(shift), sql(sawClock), sql(readers), sql(times)
}

// schema is the migrations of the dialect with the prefix in place.
func schema(db *database.DB, prefix string) database.Schema {
	return database.Schema{
		Files: migrations, Dir: "migrations/" + db.Driver(), Table: prefix + "queue_schema",
		Replace: strings.NewReplacer("PREFIX", prefix),
	}
}
