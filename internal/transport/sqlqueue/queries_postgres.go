package sqlqueue

import (
	"slices"
	"strings"
)

// nowPostgres is the clock, not the beginning of the transaction.
const nowPostgres = `(extract(epoch FROM clock_timestamp()) * 1000000)::bigint`

func postgresQueries(prefix string) queries {
	sql := names(prefix, nowPostgres).Replace
	const insert = `INSERT INTO %messages% (queue_id, due_at, enqueued_at, uuid, metadata, payload)
		SELECT q.id, %now%, %now%, m.uuid, m.metadata, m.payload FROM %rows% LEFT JOIN %queues% AS q ON `
	// batch takes the oldest messages in the order of the index, from the
	// low-water mark on, past those that another claims at this moment; the sum
	// over them cuts it where it would exceed the byte limit.
	batch := func(mark string) string {
		return `(SELECT id, due_at, now, sum(size) OVER (ORDER BY due_at, id ROWS UNBOUNDED PRECEDING) AS total FROM (
			SELECT id, due_at, %cost% AS size, %now% AS now FROM %messages%
			WHERE queue_id = ` + thisQueue + ` AND (due_at, id) > ` + mark + ` AND due_at <= %now% AND leased_until <= %now%
			ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED) AS head) AS p
		WHERE m.id = p.id AND p.total <= $3`
	}
	const claimed = ` RETURNING m.id, m.deliveries, m.uuid, m.metadata, m.payload, p.due_at, p.now`
	const these = ` WHERE id = ANY($1) AND token = $2`
	q := queries{
		fanOut: sql(insert + `q.topic = %topic% AND q.dead = 0`),
		direct: sql(insert + `q.name = %topic%`),

		dropTables: dropTables(prefix),
		// In the order of ids, like acknowledgements: so they cannot wait for
		// each other.
		dropMessages: sql(`DELETE FROM %messages% WHERE id IN (SELECT id FROM %messages% WHERE queue_id = $1 ORDER BY id LIMIT $2 FOR UPDATE)`),

		claim: sql(`UPDATE %messages% AS m SET leased_until = p.now + $4, token = $5, deliveries = m.deliveries + 1 FROM ` +
			batch(`($6, $7)`) + claimed),
		take: sql(`DELETE FROM %messages% AS m USING ` + batch(`($4, $5)`) +
			` RETURNING m.id, m.deliveries + 1, m.uuid, m.metadata, m.payload, p.due_at, p.now`),
		ack:       sql(`DELETE FROM %messages%` + these),
		back:      sql(`UPDATE %messages% SET due_at = %now% + $3, leased_until = 0, token = 0` + these),
		extend:    sql(`UPDATE %messages% SET leased_until = %now% + $3` + these),
		redeliver: sql(`UPDATE %messages% SET due_at = %now% + $3, metadata = $4, leased_until = 0, token = 0, deliveries = 0 WHERE id = $1 AND token = $2`),
		// Where the dead queue is not, no row is found, and none is changed.
		dead: sql(`UPDATE %messages% AS m SET queue_id = d.id, due_at = %now% + $3, metadata = $4, leased_until = 0, token = 0, deliveries = 0
			FROM %queues% AS q JOIN %queues% AS d ON d.topic = q.topic AND d.handler = q.handler AND d.dead = 1
			WHERE m.id = $1 AND m.token = $2 AND q.id = m.queue_id AND q.topic <> ''`),

		// Which claims last stands in the rows alone, so that all are read:
		// about 0.2 s for a million that wait. The pool's statement timeout
		// bounds it.
		backlog: sql(`SELECT q.topic, q.handler, q.dead, COALESCE(c.ready, 0), COALESCE(c.leased, 0), COALESCE(c.delayed, 0),
			COALESCE((SELECT %now% - m.enqueued_at FROM %messages% AS m WHERE m.queue_id = q.id AND m.leased_until <= %now% ORDER BY m.due_at, m.id LIMIT 1), 0)
			FROM %queues% AS q LEFT JOIN (SELECT queue_id,
				count(*) FILTER (WHERE due_at <= %now% AND leased_until <= %now%) AS ready,
				count(*) FILTER (WHERE leased_until > %now%) AS leased,
				count(*) FILTER (WHERE due_at > %now% AND leased_until <= %now%) AS delayed
				FROM %messages% GROUP BY queue_id) AS c ON c.queue_id = q.id WHERE q.topic <> ''
			ORDER BY q.topic, q.handler, q.dead`),

		postgres: postgres{
			// A statement is planned when the table may be empty, and used
			// when it holds a million rows. So that it never reads the table
			// from end to end, it gets no choice.
			settings: `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
				set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)`,
			look: sql(`SELECT q.number - 1, %now%, m.due_at, m.id, m.size
				FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS q (queue, due_at, id, number)
				LEFT JOIN LATERAL (SELECT due_at, id, %cost% AS size FROM %messages%
					WHERE queue_id = q.queue AND (due_at, id) > (q.due_at, q.id) AND due_at <= %now% AND leased_until <= %now%
					ORDER BY due_at, id LIMIT 1) AS m ON true`),
			lock:  sql(`SELECT pg_try_advisory_lock(7021982::bigint << 32 | '%messages%'::regclass::oid::bigint)`),
			size:  sql(`SELECT pg_relation_size('%messages%'), pg_indexes_size('%messages%')`),
			empty: sql(`SELECT count(*) < $1 FROM (SELECT FROM %messages% LIMIT $1) AS m`),
			// Without the first word, vacuum leaves what points to a few dead
			// rows, and a page that holds one is not cut off.
			vacuum:  sql(`VACUUM (INDEX_CLEANUP ON, TRUNCATE) %messages%`),
			reindex: sql(`REINDEX TABLE %messages%`),
		},

		insertRows: 1024,
		list: func(ids []int64) any {
			slices.Sort(ids) // the order in which rows are locked
			return ids
		},
		rows: func(uuids, metadata []string, payloads [][]byte) ([]any, string) {
			return []any{uuids, metadata, payloads}, `unnest($1::text[], $2::text[], $3::bytea[]) AS m (uuid, metadata, payload)`
		},
	}
	q.same(func(text string) string {
		return sql(strings.Replace(text, "%overriding%", " OVERRIDING SYSTEM VALUE", 1))
	})
	q.queuesOf += ` FOR UPDATE`
	q.lockClock += ` FOR UPDATE`
	return q
}
