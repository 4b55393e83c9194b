package sqlqueue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// relations are the names of all that the database has of its own making.
func relations(t *testing.T, at place) (names []string) {
	t.Helper()
	query := `SELECT name FROM sqlite_master ORDER BY name`
	if !at.onSQLite() {
		query = `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY relname`
	}
	rows, err := raw(t, at).QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	return names
}

func TestRemove_LeavesNothingOfThePrefixAndAllOfTheOthers(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		mine, _ := start(t, at, sqlqueue.Config{})
		publish(t, mine, 3)
		before := relations(t, at)

		subs := []transport.Subscription{feed}
		passing, _ := start(t, at, sqlqueue.Config{Prefix: "passing-"})
		publish(t, passing, 2000)
		require.NotEqual(t, before, relations(t, at))
		require.NoError(t, passing.Remove(t.Context(), subs))
		require.Equal(t, before, relations(t, at))
		require.Equal(t, transport.Backlog{Ready: 3}, backlog(t, mine))

		require.NoError(t, passing.Remove(t.Context(), subs), "what is gone is no error")
		require.NoError(t, passing.Migrate(t.Context(), subs), "and may be made again")
		require.Equal(t, transport.Backlog{}, backlog(t, passing))
	})
}

func TestRemove_NeedsAPrefix(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		publish(t, q, 3)
		require.ErrorIs(t, q.Remove(t.Context(), []transport.Subscription{feed}), transport.ErrNoPrefix)
		require.Equal(t, transport.Backlog{Ready: 3}, backlog(t, q))
	})
}
