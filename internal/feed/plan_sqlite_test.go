package feed

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
)

// plan is how SQLite means to run a query.
func plan(t *testing.T, db *database.DB, query string, values ...any) []string {
	t.Helper()
	rows, err := db.Read().QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+db.SQL(query), values...)
	require.NoError(t, err)
	defer rows.Close()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, steps)
	return steps
}

// requireIndexed refuses to go through a whole table or index, and to sort.
func requireIndexed(t *testing.T, steps []string, index string) {
	t.Helper()
	searches := 0
	for _, step := range steps {
		require.NotContains(t, step, "TEMP B-TREE", steps)
		for _, table := range tables {
			require.NotContains(t, step, "SCAN "+table, steps)
		}
		if strings.HasPrefix(step, "SEARCH") {
			require.Regexp(t, ` INDEX `+index+`( |$)`, step)
			searches++
		}
	}
	require.NotZero(t, searches, steps)
}

// analyze gives the planner statistics, of tables so small that going through
// them would be cheap.
func analyze(t *testing.T, db *database.DB) {
	t.Helper()
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "ANALYZE")
		return err
	}))
}

func TestEveryFilterHasAnIndexOnSQLite(t *testing.T) {
	s, _ := stocked(t, database.SQLite, 8)
	answered := true
	indexes := map[shape]string{
		{}: "questions_newest", {subject: true}: "questions_newest_in_subject",
		{grade: true}: "questions_newest_in_grade", {subject: true, grade: true}: "questions_newest_in_subject_grade",
	}
	for _, statistics := range []string{"unknown", "known"} {
		if statistics == "known" {
			analyze(t, s.db)
		}
		for _, sh := range shapes() {
			for name, behind := range map[string]position{"first page": newest(), "later page": {at(1).UnixMicro(), "q005"}} {
				t.Run(fmt.Sprintf("%+v, %s, statistics %s", sh, name, statistics), func(t *testing.T) {
					f := Filter{}
					if sh.subject {
						f.Subject = "s1"
					}
					if sh.grade {
						f.Grade = "g1"
					}
					if sh.answered {
						f.Answered = &answered
					}
					steps := plan(t, s.db, f.shape().query(database.SQLite), f.values(behind, 21)...)
					requireIndexed(t, steps, indexes[shape{subject: sh.subject, grade: sh.grade}])
					for _, step := range steps {
						if strings.HasPrefix(step, "SEARCH") {
							require.Contains(t, step, "(asked_at,question_id)<(?,?)", "from the cursor on")
						}
					}
				})
			}
		}
	}
}

func TestEveryKeyHasAnIndexOnSQLite(t *testing.T) {
	s, _ := stocked(t, database.SQLite, 8)
	primary := "sqlite_autoindex_.*"
	for _, test := range []struct {
		name, query, index string
		values             []any
	}{
		{"questions of a batch", sqliteQuestions, primary, []any{`["q1"]`}},
		{"answers of a batch", sqliteAnswers, primary, []any{`[["q1","a1"]]`}},
		{"first and last answers", sqliteEnds, "answers_live", []any{`["q1"]`}},
		{"one question", oneQuestion, primary, []any{"q1"}},
		{"oldest answers of one question", oldestAnswers, "answers_live", []any{"q1", 0, "a1", 5}},
		{"newest answers of one question", newestAnswers, "answers_live", []any{"q1", 0, "a1", 5}},
		{"grades", allGrades, "questions_newest_in_grade", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			requireIndexed(t, plan(t, s.db, test.query, test.values...), test.index)
		})
	}
}
