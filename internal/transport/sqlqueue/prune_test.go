package sqlqueue_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/internal/transport"
	"github.com/answerfeed/answerfeed/internal/transport/sqlqueue"
)

// A worker that dies while it prunes leaves messages of no queue.
func TestPrune_WhatACrashLeftNeverReachesAnotherQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		publish(t, q, 2000)
		conn := raw(t, at)
		exec(t, conn, `DELETE FROM queues`) // Prune's first transaction
		require.NoError(t, q.Migrate(t.Context(), []transport.Subscription{{Topic: topic, Handler: "other"}}))
		require.Zero(t, backlog(t, q), "the new queue is not the old one under another name")

		_, err := q.Prune(t.Context(), "feed")
		require.NoError(t, err)
		var left int
		require.NoError(t, conn.QueryRowContext(t.Context(), `SELECT count(*) FROM queue_messages`).Scan(&left))
		require.Zero(t, left, "pruning again finishes the work")
	})
}

// Pruning a handler that still runs ends its messages, and nothing else.
func TestPrune_UnderARunningConsumer(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		other := transport.Subscription{Topic: topic, Handler: "other"}
		require.NoError(t, q.Migrate(t.Context(), []transport.Subscription{other}))
		publish(t, q, 100)
		messages := consume(t, q, 10)
		m := next(t, messages)
		names, err := q.Prune(t.Context(), "feed")
		require.NoError(t, err)
		require.Equal(t, []string{"answer-added.feed", "answer-added.feed.dead"}, names)
		require.ErrorIs(t, q.DeadLetter(t.Context(), m), transport.ErrClaimLost)
		m.Ack()
		all, err := q.Backlog(t.Context())
		require.NoError(t, err)
		last := all[len(all)-1] // feed's may be there again
		require.Equal(t, "other", last.Handler)
		require.EqualValues(t, 100, last.Ready)
	})
}

// Between the two steps of Prune a dead letter has no queue to go to. That
// must not stop the others of its consumer.
func TestDeadLetter_WithoutItsQueueIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, at place) {
		q, _ := start(t, at, sqlqueue.Config{})
		publish(t, q, 2)
		messages := consume(t, q, 2)
		first, second := next(t, messages), next(t, messages)
		conn := raw(t, at)
		exec(t, conn, `DELETE FROM queues WHERE dead = 1`)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.ErrorIs(t, q.DeadLetter(ctx, first), transport.ErrClaimLost)
		second.Ack()
		eventually(t, func() bool { return backlog(t, q) == transport.Backlog{InFlight: 1} })
	})
}
