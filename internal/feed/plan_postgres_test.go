package feed

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
)

// step is a step of PostgreSQL's plan, and what became of it.
type step struct {
	Type    string  `json:"Node Type"`
	Table   string  `json:"Relation Name"`
	Index   string  `json:"Index Name"`
	Bounds  string  `json:"Index Cond"`
	Rows    float64 `json:"Actual Rows"` // a loop
	Loops   float64 `json:"Actual Loops"`
	Dropped float64 `json:"Rows Removed by Filter"` // a loop
	Steps   []step  `json:"Plans"`
}

func (s step) all() []step {
	steps := []step{s}
	for _, below := range s.Steps {
		steps = append(steps, below.all()...)
	}
	return steps
}

// explain runs a query and returns the steps of its plan. A generic plan is
// one that knows no values, such as PostgreSQL may keep for a statement.
func explain(t *testing.T, tx *sql.Tx, generic bool, query string, values ...any) []step {
	t.Helper()
	const how = "EXPLAIN (ANALYZE, FORMAT JSON) "
	if generic {
		literals := make([]string, len(values))
		for i, value := range values {
			literals[i] = "'" + strings.ReplaceAll(fmt.Sprint(value), "'", "''") + "'"
		}
		_, err := tx.ExecContext(t.Context(), "SET LOCAL plan_cache_mode = force_generic_plan; PREPARE generic AS "+query)
		require.NoError(t, err)
		defer func() {
			_, err := tx.ExecContext(t.Context(), "DEALLOCATE generic")
			require.NoError(t, err)
		}()
		query, values = "EXECUTE generic", nil
		if len(literals) > 0 {
			query += " (" + strings.Join(literals, ", ") + ")"
		}
	}
	var text string
	require.NoError(t, tx.QueryRowContext(t.Context(), how+query, values...).Scan(&text))
	var plans []struct{ Plan step }
	require.NoError(t, json.Unmarshal([]byte(text), &plans))
	return plans[0].Plan.all()
}

// requireLookups refuses to go through a table, and to read more rows than so
// many. They may be sorted, as PostgreSQL likes to when it expects a handful.
func requireLookups(t *testing.T, steps []step, index string, most float64) {
	t.Helper()
	lookups := 0
	for _, s := range steps {
		require.NotEqual(t, "Seq Scan", s.Type, "%+v", steps)
		if s.Index != "" {
			require.Equal(t, index, s.Index)
			require.LessOrEqual(t, s.Loops*(s.Rows+s.Dropped), most, "%+v", s)
			lookups++
		}
	}
	require.NotZero(t, lookups, "%+v", steps)
}

// planned is a database of 20,000 questions, the oldest of which are of a
// subject and a grade of their own. PostgreSQL has statistics of it.
func planned(t *testing.T) *database.DB {
	db := openDB(t, database.Postgres)
	stock(t, db, 20_000)
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
UPDATE questions SET subject = 'rare', grade = 'rare' WHERE asked_at < 1700000000000000 + 100 * 1000000;
ANALYZE questions`)
		return err
	}))
	return db
}

func TestEveryFilterHasAnIndexOnPostgreSQL(t *testing.T) {
	db := planned(t)
	answered := false
	const limit = 21
	for _, sh := range shapes() {
		for _, value := range []string{"common", "rare"} {
			f, index := Filter{}, "questions_newest"
			if sh.subject {
				f.Subject, index = map[string]string{"common": "s1", "rare": "rare"}[value], index+"_in_subject"
			}
			if sh.grade {
				f.Grade, index = map[string]string{"common": "g1", "rare": "rare"}[value], strings.Replace(index+"_in_grade", "subject_in_", "subject_", 1)
			}
			if sh.answered {
				f.Answered = &answered
			}
			for name, behind := range map[string]position{"first page": newest(), "later page": {1700000000000000 + 50*1000000, "q"}} {
				for _, generic := range []bool{false, true} {
					t.Run(fmt.Sprintf("%+v, %s, %s, generic %v", sh, value, name, generic), func(t *testing.T) {
						tx, err := db.Read().BeginTx(t.Context(), nil)
						require.NoError(t, err)
						defer tx.Rollback() //nolint:errcheck // nothing was written
						steps := explain(t, tx, generic, sh.query(database.Postgres), f.values(behind, limit)...)
						requireLookups(t, steps, index, limit)
						for _, s := range steps {
							if s.Index != "" {
								require.Contains(t, s.Bounds, "ROW(asked_at, question_id) < ROW(", "from the cursor on")
							}
						}
					})
				}
			}
		}
	}
}

// A statement is planned once, perhaps on empty tables, and must do for the
// large ones as well.
func TestEveryKeyHasAnIndexOnPostgreSQL(t *testing.T) {
	for name, db := range map[string]*database.DB{"empty": openDB(t, database.Postgres), "stocked": planned(t)} {
		for _, test := range []struct {
			name, query, index string
			values             []any
		}{
			{"questions of a batch", postgresQuestions, "questions_pkey", []any{`{q1,q2}`}},
			{"answers of a batch", postgresAnswers, "answers_pkey", []any{`{q1,q1}`, `{a1,a2}`}},
			{"first and last answers", postgresEnds, "answers_live", []any{`{q1,q2}`}},
			{"one question", oneQuestion, "questions_pkey", []any{"q1"}},
			{"oldest answers of one question", oldestAnswers, "answers_live", []any{"q1", 0, "a1", 5}},
			{"newest answers of one question", newestAnswers, "answers_live", []any{"q1", 0, "a1", 5}},
			{"grades", allGrades, "questions_newest_in_grade", nil},
		} {
			for _, generic := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, generic %v", test.name, name, generic), func(t *testing.T) {
					require.NoError(t, db.Update(t.Context(), database.Relaxed, func(_ context.Context, tx *sql.Tx) error {
						requireLookups(t, explain(t, tx, generic, test.query, test.values...), test.index, 5)
						return nil
					}))
				})
			}
		}
	}
}

// New answers to a question that has one are the common case. They touch no
// index of questions: PostgreSQL puts the row's new version beside the old one.
func TestTalliesAreChangedInPlace(t *testing.T) {
	db := planned(t)
	s := newStore(t, db)
	var events []happening
	for i := range 200 {
		events = append(events, received(t, put(fmt.Sprint("q", 201+98*i), "b", 1)))
	}
	require.NoError(t, db.Update(t.Context(), database.Relaxed, func(ctx context.Context, tx *sql.Tx) error {
		changes := make([]change, len(events))
		for i, e := range events {
			changes[i] = answerAdded(e.(event.AnswerAdded))
		}
		counted := func() (updates, inPlace int) { // by this connection
			const query = `SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'questions'`
			require.NoError(t, tx.QueryRowContext(ctx, query).Scan(&updates, &inPlace))
			return updates, inPlace
		}
		updatesBefore, inPlaceBefore := counted()
		require.NoError(t, s.apply(ctx, tx, changes))
		updates, inPlace := counted()
		require.Equal(t, 200, updates-updatesBefore)
		require.Equal(t, 200, inPlace-inPlaceBefore)
		return nil
	}))
}
