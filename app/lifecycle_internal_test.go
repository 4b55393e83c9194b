package app

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLifecycle_LastInFirstOut(t *testing.T) {
	var l lifecycle
	var order []string
	first, third := errors.New("first"), errors.New("third")
	l.closing(func() error { order = append(order, "first"); return first })
	l.then(func() { order = append(order, "second") })
	l.push(func(ctx context.Context) error {
		order = append(order, "third")
		require.Equal(t, t.Context(), ctx)
		return third
	})
	err := l.close(t.Context())
	require.Equal(t, []string{"third", "second", "first"}, order)
	require.ErrorIs(t, err, first)
	require.ErrorIs(t, err, third)
	require.NoError(t, l.close(t.Context()), "what is closed is closed")
	require.Len(t, order, 3)
}
