package config_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/answerfeed/answerfeed/config"
)

// However long a handler may take: what waits unread, then waits in work, and
// then is worked on, is acknowledged before the broker takes it back.
func TestHold_StaysBelowTheBrokersLimit(t *testing.T) {
	const quick = 3*(10+5)*time.Second + 180*time.Millisecond // the default's longest delivery
	for name, test := range map[string]struct {
		kind        string
		limit, hold time.Duration
		change      func(*config.Handler)
	}{
		"SQL has no limit":    {config.KindSQL, time.Minute, 5 * time.Minute, nil},
		"the default":         {config.KindAMQP, 30 * time.Minute, 5 * time.Minute, nil},
		"an impatient broker": {config.KindAMQP, time.Minute, (time.Minute - quick) / 3, nil},
		"a slow handler": {config.KindAMQP, 30 * time.Minute, 5 * time.Minute / 3, func(h *config.Handler) {
			h.Retry.Attempts, h.Timeout = 1, 25*time.Minute-5*time.Second
		}},
		"at most once": {config.KindAMQP, 30 * time.Minute, 5 * time.Minute, func(h *config.Handler) {
			h.Delivery, h.Timeout = config.AtMostOnce, 24*time.Hour
		}},
	} {
		t.Run(name, func(t *testing.T) {
			transport, h := config.Default().Transport, config.DefaultHandler()
			transport.Kind, transport.AMQP.ConsumerTimeout = test.kind, test.limit
			if test.change != nil {
				test.change(&h)
			}
			require.Equal(t, test.hold, transport.Hold(&h))
		})
	}
}
