package outbox_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// JDBC sends varchar, .NET text or jsonb, psycopg text of no type or jsonb: no
// call needs a cast, and none is ambiguous.
func TestSQL_TakesWhatDriversSend(t *testing.T) {
	newest, err := testserver.StartPostgresOf(t.Context(), testserver.Sid, "fsync = off")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, newest.Stop()) })
	onNewest, err := newest.Database(t.Context())
	require.NoError(t, err)
	for server, dsn := range map[string]string{"shared": dsn(t), "newest": onNewest} {
		t.Run(server, func(t *testing.T) {
			db := migrated(t, database.Config{Driver: database.Postgres, DSN: dsn})
			conn, err := pgx.Connect(t.Context(), dsn)
			require.NoError(t, err)
			defer conn.Close(t.Context())
			stored := 0
			for _, topic := range []string{"'a'", "'a'::text", "'a'::varchar"} {
				for _, data := range []string{`'{"n":1}'`, `'{"n":1}'::text`, `'{"n":1}'::varchar`, `'{"n":1}'::json`, `'{"n":1}'::jsonb`} {
					for _, metadata := range []string{"", `, '{"k":"v"}'`, `, '{"k":"v"}'::text`, `, '{"k":"v"}'::varchar`, `, '{"k":"v"}'::json`, `, '{"k":"v"}'::jsonb`, ", NULL"} {
						call := "SELECT answerfeed_publish(" + topic + ", " + data + metadata + ")"
						_, err := conn.Exec(t.Context(), call)
						require.NoError(t, err, call)
						stored++
					}
				}
			}
			_, err = conn.Exec(t.Context(), `SELECT answerfeed_publish(topic => 'a', data => '{}', metadata => '{}')`)
			require.NoError(t, err)
			all := outboxOf(t, db)
			require.Len(t, all, stored+1)
			for _, row := range all[:stored] {
				require.JSONEq(t, `{"n":1}`, row.payload)
			}
			_, err = conn.Exec(t.Context(), `SELECT answerfeed_publish('a', 'no json')`)
			require.ErrorContains(t, err, "json")
		})
	}
}
