package sqlqueue

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/testserver"
)

// A statement that is planned while the table is empty is used when it is
// full: even then none may read it from end to end.
func TestPlans_OfAnEmptyTableUseTheIndex(t *testing.T) {
	server, err := testserver.SharedPostgres(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()
	dsn, err := server.Database(t.Context())
	require.NoError(t, err)
	db, err := database.Open(t.Context(), database.Config{Driver: database.Postgres, DSN: dsn})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.MigrateSchema(t.Context(), schema(db, "p-")))

	const byOrder, byID = `"p-queue_messages_due"`, `"p-queue_messages_id"`
	q := newQueries(db, "p-")
	tests := map[string]struct {
		query string
		args  int
		uses  []string
	}{
		"claim":     {q.claim, 7, []string{byOrder, byID}},
		"take":      {q.take, 5, []string{byOrder, byID}},
		"ack":       {q.ack, 2, []string{byID}},
		"back":      {q.back, 3, []string{byID}},
		"extend":    {q.extend, 3, []string{byID}},
		"redeliver": {q.redeliver, 4, []string{byID}},
		"dead":      {q.dead, 4, []string{byID}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var plan strings.Builder
			require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
				for _, query := range []string{q.settings, `SET LOCAL plan_cache_mode = force_generic_plan`, `PREPARE planned_` + name + ` AS ` + test.query} {
					if _, err := tx.ExecContext(ctx, query); err != nil {
						return err
					}
				}
				lines, err := column[string](tx.QueryContext(ctx, `EXPLAIN EXECUTE planned_`+name+` (NULL`+strings.Repeat(", NULL", test.args-1)+`)`))
				plan.WriteString(strings.Join(lines, "\n"))
				return err
			}))
			require.NotContains(t, plan.String(), `Seq Scan on "p-queue_messages"`)
			require.NotContains(t, plan.String(), "Bitmap")
			require.NotContains(t, plan.String(), "Hash Join")
			require.NotContains(t, plan.String(), "Merge Join")
			for _, use := range test.uses {
				require.Contains(t, plan.String(), use)
			}
		})
	}
}
