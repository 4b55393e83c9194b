package deadletter_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

// plan is how the database means to run a query, a step a line.
func plan(t *testing.T, db *database.DB, query string, args ...any) string {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if db.Driver() == database.Postgres {
		explain = "EXPLAIN "
	}
	rows, err := db.Read().QueryContext(t.Context(), explain+db.SQL(query), args...)
	require.NoError(t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var step string
		into := []any{&step}
		if db.Driver() == database.SQLite {
			var id, parent, unused int
			into = []any{&id, &parent, &unused, &step}
		}
		require.NoError(t, rows.Scan(into...))
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	return strings.Join(steps, "\n")
}

// Each combination of filters is one range of one index, in its order: no
// letter is looked at that is not shown. That holds on SQLite though nothing
// there has counted what the table holds.
func TestList_EveryFilterHasAnIndex(t *testing.T) {
	onEach(t, func(t *testing.T, driver string) {
		db := openAt(t, place(t, driver))
		stock(t, db, 30_000)
		desk := deadletter.NewDesk(deadletter.DeskOptions{DB: db})
		for bits := range 1 << 5 {
			f, index := deadletter.Filter{}, "dead_letters"
			if bits&1 != 0 {
				f.Handler, index = "handler-1", index+"_handler"
			}
			if bits&2 != 0 {
				f.Topic, index = "topic-1", index+"_topic"
			}
			if bits&4 != 0 {
				f.Reason, index = "reason-1", index+"_reason"
			}
			if bits&8 != 0 {
				f.Fingerprint, index = "fingerprint-1036", "dead_letters_fingerprint"
				if f.Topic != "" {
					index += "_topic"
				}
			}
			if bits&16 != 0 {
				f.Since, f.Until = time.UnixMicro(1700000000000000+5e9), time.UnixMicro(1700000000000000+25e9)
			}
			if index == "dead_letters" {
				index = "dead_letters_newest"
			}
			t.Run(fmt.Sprintf("%s, bounded %t", index, bits&16 != 0), func(t *testing.T) {
				page, err := desk.List(t.Context(), f, 2, "")
				require.NoError(t, err)
				require.NotEmpty(t, page.Next, "the example is poor")
				for _, cursor := range []string{"", page.Next} {
					q, args, err := f.Query(db, cursor, 50)
					require.NoError(t, err)
					steps := plan(t, db, q, args...)
					require.Regexp(t, ` `+index+`\b[^_]`, steps)
					require.NotRegexp(t, `SCAN dead|TEMP B-TREE|Seq Scan|Sort|Filter:|Bitmap`, steps)
				}
			})
		}
	})
}
