package sqlqueue

import (
	"strconv"
	"strings"

	"github.com/answerfeed/answerfeed/app/database"
)

const nowSQLite = `CAST(unixepoch('subsec') * 1000000 AS INTEGER)`

func sqliteQueries(db *database.DB, prefix string) queries {
	sql := func(q string) string { return db.SQL(names(prefix, nowSQLite).Replace(q)) }
	const insert = `INSERT INTO %messages% (queue_id, due_at, enqueued_at, uuid, metadata, payload)
		SELECT q.id, %now%, %now%, m.column1, m.column2, m.column3 FROM (VALUES %rows%) AS m LEFT JOIN %queues% AS q ON `
	// The inner query takes the oldest messages in the order of the index;
	// the sum over them cuts the batch where it would exceed the byte limit.
	const batch = `(SELECT id FROM (
		SELECT id, sum(size) OVER (ORDER BY due_at, id ROWS UNBOUNDED PRECEDING) AS total FROM (
			SELECT id, due_at, %cost% AS size FROM %messages%
			WHERE queue_id = ` + thisQueue + ` AND due_at <= %now% ORDER BY due_at, id LIMIT $2))
		WHERE total <= $3)`
	const these = ` WHERE id IN (SELECT value FROM json_each($1)) AND token = $2`
	q := queries{
		fanOut: sql(insert + `q.topic = %topic% AND q.dead = 0`),
		direct: sql(insert + `q.name = %topic%`),

		dropTables:   dropTables(prefix),
		dropMessages: sql(`DELETE FROM %messages% WHERE id IN (SELECT id FROM %messages% WHERE queue_id = $1 LIMIT $2)`),

		// A claim moves due_at to the end of its lease.
		claim: sql(`UPDATE %messages% SET due_at = %now% + $4, token = $5, deliveries = deliveries + 1 WHERE id IN ` + batch +
			` RETURNING id, deliveries, uuid, metadata, payload`),
		take: sql(`DELETE FROM %messages% WHERE id IN ` + batch +
			` RETURNING id, deliveries + 1, uuid, metadata, payload`),
		ack:       sql(`DELETE FROM %messages%` + these),
		back:      sql(`UPDATE %messages% SET due_at = %now% + $3, token = 0` + these),
		extend:    sql(`UPDATE %messages% SET due_at = %now% + $3` + these),
		redeliver: sql(`UPDATE %messages% SET due_at = %now% + $3, metadata = $4, token = 0, deliveries = 0 WHERE id = $1 AND token = $2`),
		// Where the dead queue is not, no row is found, and none is changed.
		dead: sql(`UPDATE %messages% AS m SET queue_id = d.id, due_at = %now% + $3, metadata = $4, token = 0, deliveries = 0
			FROM %queues% AS q JOIN %queues% AS d ON d.topic = q.topic AND d.handler = q.handler AND d.dead = 1
			WHERE m.id = $1 AND m.token = $2 AND q.id = m.queue_id AND q.topic <> ''`),
		next: sql(`SELECT due_at - %now%, %cost% FROM %messages% WHERE queue_id = ` + thisQueue + ` ORDER BY due_at, id LIMIT 1`),

		// Ready messages are counted in the index; only those that are not
		// due yet, at most the windows and the delayed, are looked up.
		backlog: sql(`SELECT q.topic, q.handler, q.dead,
			(SELECT count(*) FROM %messages% AS m WHERE m.queue_id = q.id AND m.due_at <= %now%),
			(SELECT count(*) FROM %messages% AS m WHERE m.queue_id = q.id AND m.due_at > %now% AND m.token <> 0),
			(SELECT count(*) FROM %messages% AS m WHERE m.queue_id = q.id AND m.due_at > %now% AND m.token = 0),
			COALESCE((SELECT %now% - m.enqueued_at FROM %messages% AS m WHERE m.queue_id = q.id ORDER BY m.due_at, m.id LIMIT 1), 0)
			FROM %queues% AS q WHERE q.topic <> '' ORDER BY q.topic, q.handler, q.dead`),

		insertRows: 128,
		list:       func(ids []int64) any { return jsonList(ids) },
		rows: func(uuids, metadata []string, payloads [][]byte) ([]any, string) {
			args := make([]any, 0, 3*len(uuids)+1)
			for i := range uuids {
				args = append(args, uuids[i], metadata[i], payloads[i])
			}
			return args, database.Rows(len(uuids), 3)
		},
	}
	q.same(func(text string) string { return sql(strings.Replace(text, "%overriding%", "", 1)) })
	return q
}

// jsonList writes ids as a JSON array, the form in which SQLite takes a list as
// one parameter.
func jsonList(ids []int64) string {
	var b strings.Builder
	for i, id := range ids {
		sep := byte(',')
		if i == 0 {
			sep = '['
		}
		b.WriteByte(sep)
		b.WriteString(strconv.FormatInt(id, 10))
	}
	return b.String() + "]"
}
