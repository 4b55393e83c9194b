package verify

import (
	"bytes"
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/failure"
)

func TestHandler_EachKindComesToItsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, db *database.DB) {
		var delivered, handled bytes.Buffer
		h := NewHandler(db, &delivered, &handled)
		handle := func(kind kind, number int) *failure.Verdict {
			err := h.Handle(t.Context(), item{number, kind}.payload())
			if err == nil {
				return nil
			}
			return failure.Classify(err)
		}
		require.Nil(t, handle(plain, 1))
		require.Nil(t, handle(plain, 1), "again")
		require.Equal(t, failure.KindTransient, handle(flaky, 2).Kind, "the first time")
		require.Nil(t, handle(flaky, 2), "the second time")
		require.Equal(t, failure.KindPermanent, handle(incurable, 3).Kind)
		require.Equal(t, failure.KindPermanent, handle(curable, 4).Kind)
		require.NoError(t, cure(t.Context(), db))
		require.Nil(t, handle(curable, 4), "cured")
		require.Equal(t, failure.KindPermanent, handle(incurable, 3).Kind, "still")
		require.Equal(t, failure.KindPermanent, handle('x', 5).Kind, "nobody's")

		require.Equal(t, map[string]int{"p1": 1, "f2": 1, "c4": 1}, effectsOf(t, db))
		require.Equal(t, 9, delivered.Len())
		require.Equal(t, 4, handled.Len(), "the second p1 did no harm, and is counted")
	})
}

// The trigger must count what the inbox let through, or nothing would ever be
// doubled.
func TestTrigger_CountsASecondEffect(t *testing.T) {
	onEach(t, func(t *testing.T, db *database.DB) {
		for range 2 {
			require.NoError(t, db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, db.SQL(insertEffect), "p1")
				return err
			}))
		}
		require.Equal(t, map[string]int{"p1": 2}, effectsOf(t, db))
	})
}
