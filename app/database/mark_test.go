package database_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMark_CountsWhatIsLeftBehind(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		db, other := at.migrated(t), at.open(t)
		for left := range 6 {
			n, err := other.Mark(t.Context(), "feed", "answer-added", "e1", 0)
			require.NoError(t, err)
			require.Equal(t, left, n)
		}
		for _, another := range []struct {
			handler, topic, identity string
			requeues                 int
		}{
			{"mail", "answer-added", "e1", 0}, {"feed", "answer-removed", "e1", 0}, {"feed", "answer-added", "e2", 0}, {"feed", "answer-added", "e1", 1},
		} {
			n, err := db.Mark(t.Context(), another.handler, another.topic, another.identity, another.requeues)
			require.NoError(t, err)
			require.Zero(t, n, another)
		}
		require.NoError(t, db.Unmark(t.Context(), "feed", "answer-added", "e1", 0))
		require.Equal(t, 4, count(t, db, "crash_marks"), "the others' stay")
		n, err := db.Mark(t.Context(), "feed", "answer-added", "e1", 0)
		require.NoError(t, err)
		require.Zero(t, n)
	})
}
