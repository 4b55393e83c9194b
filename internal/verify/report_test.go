package verify

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/internal/deadletter"
)

func TestCompare_HoldsTheTablesAgainstTheLedger(t *testing.T) {
	// Events 0 to 3, one of each kind, all confirmed; and one that is not.
	kinds := []kind{plain, flaky, incurable, curable, plain}
	right := []string{"p0", "f1", "c3"}
	tests := map[string]struct {
		effects, letters []string
		queued           int64
		notConverged     int

		lost, doubled, unexpected int
		passed                    bool
	}{
		"all well":                          {effects: right, letters: []string{"i2"}, passed: true},
		"one not confirmed took effect":     {effects: append([]string{"p4"}, right...), letters: []string{"i2"}, passed: true},
		"an effect is lost":                 {effects: right[1:], letters: []string{"i2"}, lost: 1},
		"a letter is lost":                  {effects: right, lost: 1},
		"all is lost":                       {lost: 4},
		"one is still queued":               {effects: right[1:], letters: []string{"i2"}, queued: 1, passed: true},
		"one is queued and another is lost": {effects: right[2:], letters: []string{"i2"}, queued: 1, lost: 1},
		"an effect came twice":              {effects: append([]string{"p0"}, right...), letters: []string{"i2"}, doubled: 1},
		"one has not converged":             {effects: right, letters: []string{"i2"}, notConverged: 1, lost: 1},
		"one that should not took effect":   {effects: append([]string{"i2"}, right...), unexpected: 1},
		"both an effect and a letter":       {effects: right, letters: []string{"i2", "p0"}, unexpected: 1},
		"a letter that should not be":       {effects: right[1:], letters: []string{"i2", "p0"}, unexpected: 1},
		"an effect of nobody":               {effects: append([]string{"p9"}, right...), letters: []string{"i2"}, unexpected: 1},
		"an effect of another kind":         {effects: append([]string{"c0"}, right...), letters: []string{"i2"}, unexpected: 1},
		"an effect without a number":        {effects: append([]string{"p"}, right...), letters: []string{"i2"}, unexpected: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, db *database.DB) {
				require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
					for _, id := range test.effects {
						if _, err := tx.ExecContext(ctx, db.SQL(insertEffect), id); err != nil {
							return err
						}
					}
					for _, id := range []string{"p0", "f1", "i2", "c3"}[test.notConverged:] {
						for range 3 { // repeated, as the faults explain
							if _, err := tx.ExecContext(ctx, db.SQL(converge), id); err != nil {
								return err
							}
						}
					}
					return nil
				}))
				letters := deadletter.New(db, database.Durable)
				defer letters.Close()
				for _, id := range test.letters {
					require.NoError(t, letters.Save(t.Context(), &deadletter.Letter{
						Handler: HandlerName, Topic: Topic, Identity: id, Reason: "r", LastFailedAt: time.Now(), FirstFailedAt: time.Now(),
					}))
				}
				r := &run{
					Options: Options{Progress: func(string, int, int) {}}, db: db, dir: t.TempDir(),
					ledger: &ledger{kinds: kinds, confirmed: 4, messages: 5}, report: newReport(Options{}),
				}
				r.report.Queued = test.queued
				require.False(t, r.report.Passed(), "before it is known")
				require.NoError(t, r.compare(t.Context()))
				require.Equal(t, test.lost, r.report.Lost, "lost")
				require.Equal(t, test.doubled, r.report.Doubled, "doubled")
				require.Equal(t, test.unexpected, r.report.Unexpected, "unexpected")
				require.Equal(t, test.passed, r.report.Passed())
				require.Equal(t, 4, r.report.Confirmed)
				require.Equal(t, 4+test.notConverged, r.report.Effects+r.report.DeadLetters+int(r.report.Queued)+r.report.Lost, "it adds up")
				require.Equal(t, 4-test.notConverged, r.report.Converged)
				require.Equal(t, int64(3*(4-test.notConverged)-5), r.report.Repeated)
				r.problem("one")
				require.False(t, r.report.Passed(), "with a problem")
			})
		})
	}
}

func TestRecovered_MedianAndMax(t *testing.T) {
	r := newReport(Options{})
	for _, took := range []time.Duration{3 * time.Second, time.Second, 9 * time.Second} {
		r.recovered(WorkerKill, took)
	}
	r.recovered(CrashPoint, time.Hour) // that is not one
	require.Len(t, r.Recovery, 1)
	got := r.Recovery[string(WorkerKill)]
	require.Equal(t, []int64{3, 3000, 9000}, []int64{int64(got.Times), got.Median, got.Max})
}

// Effects that no fault explains fail the run.
func TestCompareConverged_Bounded(t *testing.T) {
	onEach(t, func(t *testing.T, db *database.DB) {
		r := &run{db: db, ledger: &ledger{kinds: []kind{plain}, confirmed: 1, messages: 1}, report: newReport(Options{})}
		set := func(effects int64) {
			require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, db.SQL(`INSERT INTO verify_converged (id, effects) VALUES ('p0', $1)
					ON CONFLICT (id) DO UPDATE SET effects = excluded.effects`), effects)
				return err
			}))
		}
		set(1)
		_, err := r.compareConverged(t.Context())
		require.NoError(t, err)
		require.Empty(t, r.report.Problems)
		set(r.report.RepeatedBound + 2)
		_, err = r.compareConverged(t.Context())
		require.NoError(t, err)
		require.Len(t, r.report.Problems, 1)
	})
}
