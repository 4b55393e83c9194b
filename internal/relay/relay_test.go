package relay_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/app/database"
	"github.com/answerfeed/answerfeed/app/event"
	"github.com/answerfeed/answerfeed/app/outbox"
	"github.com/answerfeed/answerfeed/internal/relay"
	"github.com/answerfeed/answerfeed/internal/transport"
)

const topic = "told"

func TestRelay_CommitArrivesRollbackDoesNot(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := set(t, p)
		k := s.listen(topic)
		metrics := prometheus.NewRegistry()
		s.relay(relay.Options{Registry: metrics})

		no := errors.New("no")
		require.ErrorIs(t, s.db.Update(t.Context(), database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			return errors.Join(outbox.Publish(ctx, tx, topic, told("taken back")), no)
		}), no)
		ctx := event.WithMessage(t.Context(), event.NewMessage("cause", "handler", "c-1", nil, "u-1"))
		require.NoError(t, s.db.Update(ctx, database.Durable, func(ctx context.Context, tx *sql.Tx) error {
			return outbox.Publish(ctx, tx, topic, told("kept"))
		}))
		require.Equal(t, map[string]int{`{"told":"kept"}`: 1}, s.all(k, 1))
		require.Equal(t, "c-1", k.metadata().Get(transport.KeyCorrelationID))

		s.publish(topic, 0, 2000)
		s.all(k, 2001)
		families, err := metrics.Gather()
		require.NoError(t, err)
		figures := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				figures[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
		require.Equal(t, map[string]float64{
			"answerfeed_relayed_total": 2001, "answerfeed_relay_failures_total": 0,
			"answerfeed_outbox_messages": 0, "answerfeed_outbox_age_seconds": 0, "answerfeed_outbox_oldest_seconds": 0,
		}, figures)
	})
}

func TestRelay_SeveralShare(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := set(t, p)
		k := s.listen(topic)
		const events = 4500
		s.publish(topic, 0, events)
		shares := make([]*prometheus.Registry, 2)
		for i := range shares {
			shares[i] = prometheus.NewRegistry()
			s.relay(relay.Options{Registry: shares[i]})
		}
		for _, n := range s.all(k, events) {
			require.Equal(t, 1, n, "nobody died: nothing comes twice")
		}
		for _, share := range shares {
			require.NotZero(t, figure(t, share, "answerfeed_relayed_total"))
		}
	})
}

func figure(t *testing.T, r *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	require.Fail(t, "no such metric", name)
	return 0
}

// What a relay has claimed and does not settle comes to another; and what a
// stopped relay has not begun is there at once.
func TestRelay_StopGivesBackAndFinishes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, p place) {
		s := set(t, p)
		k := s.listen(topic)
		const events = 1800
		stop := s.relay(relay.Options{Lease: time.Hour})
		for n := 0; n < events; n += 300 {
			s.publish(topic, n, n+300)
			stop()
			stop = s.relay(relay.Options{Lease: time.Hour})
		}
		for _, n := range s.all(k, events) { // with leases of an hour nothing may have been left claimed
			require.Equal(t, 1, n)
		}
	})
}
