package sqlqueue

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// No statement on messages may read the table from end to end: what a
// backlog costs must not grow with it.
func TestQueries_UseTheIndex(t *testing.T) {
	db, err := database.Open(t.Context(), database.Config{Driver: database.SQLite, DSN: filepath.Join(t.TempDir(), "queue.db")})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.MigrateSchema(t.Context(), schema(db, "p-")))
	s := NewSchema(db, "p-")
	fanOut, err := s.InsertQuery("answer-added", message.Messages{message.NewMessage("a", nil), message.NewMessage("b", nil)})
	require.NoError(t, err)
	direct, err := s.InsertQuery("answer-added.feed", message.Messages{message.NewMessage("a", nil)})
	require.NoError(t, err)

	const byIndex, byID, queue = "USING INDEX p-queue_messages_due", "USING INTEGER PRIMARY KEY", "USING COVERING INDEX p-queue_messages_due"
	q := s.queries
	tests := map[string]struct {
		query string
		args  int
		uses  []string
	}{
		"claim":        {q.claim, 5, []string{byIndex, byID}},
		"take":         {q.take, 3, []string{byIndex, byID}},
		"ack":          {q.ack, 2, []string{byID}},
		"back":         {q.back, 3, []string{byID}},
		"extend":       {q.extend, 3, []string{byID}},
		"redeliver":    {q.redeliver, 4, []string{byID}},
		"dead":         {q.dead, 4, []string{byID}},
		"next":         {q.next, 1, []string{"p-queue_messages_due"}},
		"dropMessages": {q.dropMessages, 2, []string{queue, byID}},
		"backlog":      {q.backlog, 0, []string{queue, byIndex}},
		"fanOut":       {fanOut.Query, len(fanOut.Args), []string{"p-queues_topic"}},
		"direct":       {direct.Query, len(direct.Args), []string{"sqlite_autoindex_p-queues_1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			rows, err := db.Read().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+test.query, make([]any, test.args)...)
			require.NoError(t, err)
			defer rows.Close()
			var plan strings.Builder
			for rows.Next() {
				var id, parent, unused int
				var detail string
				require.NoError(t, rows.Scan(&id, &parent, &unused, &detail))
				plan.WriteString(detail + "\n")
			}
			require.NoError(t, rows.Err())
			require.NotContains(t, plan.String(), "SCAN p-queue_messages")
			if !strings.Contains(plan.String(), "CO-ROUTINE m") { // there m is what shall be inserted
				require.NotContains(t, plan.String(), "SCAN m")
			}
			for _, use := range test.uses {
				require.Contains(t, plan.String(), use)
			}
		})
	}
}
