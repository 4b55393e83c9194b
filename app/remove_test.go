package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/handlers"
	"github.com/answerfeed/answerfeed/internal/transport"
)

func TestRemove_TakesThePrefixAndNothingElse(t *testing.T) {
	r := newRig(t, handlers.All())
	r.publish(t, event.TopicAnswerAdded, `{}`)
	opts := options(t, r.path, &r.log, handlers.All())
	require.ErrorIs(t, app.Remove(t.Context(), opts), transport.ErrNoPrefix)

	opts.Config.Transport.Prefix = "passing-"
	c, err := app.Open(t.Context(), opts)
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, app.Remove(t.Context(), opts))
	var left int
	require.NoError(t, r.db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_master WHERE name LIKE 'passing-%'`).Scan(&left))
	require.Zero(t, left)
	pending, _ := r.waiting(t)
	require.EqualValues(t, 2, pending, "of feed and leaderboard")
}
